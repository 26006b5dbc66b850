-- Remembers digests of dedup ids in two sets that take turns: each serves one window and is looked at for one more. The
-- window's number is a member of its set, so that a set of an older window is never mistaken for it.
local function window_mark(number)
  return string.format('window:%.0f', number)
end

-- The set of this window, begun if it is new, the one before, and the number of the window.
local function dedup_sets(now_ms, window_ms, even, odd)
  local number = math.floor(now_ms / window_ms)
  local current, previous = even, odd
  if number % 2 == 1 then
    current, previous = odd, even
  end
  if redis.call('SISMEMBER', current, window_mark(number)) == 0 then
    redis.call('UNLINK', current)
    redis.call('SADD', current, window_mark(number))
    redis.call('PEXPIRE', current, 2 * window_ms)
  end
  return current, previous, number
end

-- Whether a digest was noted before; it is now.
local function taken_before(digest, now_ms, window_ms, even, odd)
  local current, previous, number = dedup_sets(now_ms, window_ms, even, odd)
  if redis.call('SISMEMBER', previous, digest) == 1
      and redis.call('SISMEMBER', previous, window_mark(number - 1)) == 1 then
    return true
  end
  return redis.call('SADD', current, digest) == 0
end
