-- Remembers digests of dedup ids in two sets that take turns: each serves one window and is looked at for one more. The
-- window's number is a member of its set, so that a set of an older window is never mistaken for it. Digests are looked up
-- and noted together: a call of redis costs a script more than a message does.
local function window_mark(number)
  return string.format('window:%.0f', number)
end

-- Notes digests, and returns which places hold one that was noted before, or further left. Empty ones are no digests.
local function repeats_among(digests, now_ms, window_ms, even, odd)
  local number = math.floor(now_ms / window_ms)
  local current, previous = even, odd
  if number % 2 == 1 then
    current, previous = odd, even
  end
  local known = redis.call('SMISMEMBER', current, window_mark(number), unpack(digests))
  local earlier = redis.call('SMISMEMBER', previous, window_mark(number - 1), unpack(digests))
  local is_open, repeats, seen, fresh = known[1] == 1, {}, {}, {}
  if not is_open then
    redis.call('UNLINK', current)
    fresh[1] = window_mark(number)
  end
  for place, digest in ipairs(digests) do
    if digest ~= '' then
      if seen[digest] or is_open and known[place + 1] == 1 or earlier[1] == 1 and earlier[place + 1] == 1 then
        repeats[place] = true
      else
        seen[digest] = true
        fresh[#fresh + 1] = digest
      end
    end
  end
  if #fresh > 0 then
    redis.call('SADD', current, unpack(fresh))
  end
  if not is_open then
    redis.call('PEXPIRE', current, 2 * window_ms)
  end
  return repeats
end

-- Whether a digest was noted before; it is now.
local function taken_before(digest, now_ms, window_ms, even, odd)
  return repeats_among({ digest }, now_ms, window_ms, even, odd)[1] or false
end
