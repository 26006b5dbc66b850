-- Remembers digests of dedup ids in two sets that take turns: each serves one window and is looked at for one more. The
-- window's number is a member of its set, so that a set of an older window is never mistaken for it.
local function taken_before(digest, now_ms, window_ms, even, odd)
  local number = math.floor(now_ms / window_ms)
  local current, previous = even, odd
  if number % 2 == 1 then
    current, previous = odd, even
  end
  local mark = string.format('window:%.0f', number)
  if redis.call('SISMEMBER', current, mark) == 0 then
    redis.call('UNLINK', current)
    redis.call('SADD', current, mark)
    redis.call('PEXPIRE', current, 2 * window_ms)
  end
  if redis.call('SISMEMBER', previous, digest) == 1
      and redis.call('SISMEMBER', previous, string.format('window:%.0f', number - 1)) == 1 then
    return true
  end
  return redis.call('SADD', current, digest) == 0
end
