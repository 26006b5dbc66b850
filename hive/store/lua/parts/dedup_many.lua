-- Notes digests, and returns which places hold one that was noted before, or further left. Empty ones are no digests. They
-- are looked up and noted together: one call of redis costs a script more than a message does.
local function repeats_among(digests, now_ms, window_ms, even, odd)
  local current, previous, number = dedup_sets(now_ms, window_ms, even, odd)
  local known = redis.call('SMISMEMBER', current, unpack(digests))
  local earlier = redis.call('SMISMEMBER', previous, window_mark(number - 1), unpack(digests))
  local repeats, seen, fresh = {}, {}, {}
  for place, digest in ipairs(digests) do
    if digest ~= '' then
      if seen[digest] or known[place] == 1 or earlier[1] == 1 and earlier[place + 1] == 1 then
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
  return repeats
end
