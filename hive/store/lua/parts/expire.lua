-- Forgets members whose time is over, at most a hundred: what a hash knows of them, and when that was to end.
local function expire(hash, expiry, now_ms)
  for _, member in ipairs(redis.call('ZRANGEBYSCORE', expiry, '-inf', now_ms, 'LIMIT', 0, 100)) do
    redis.call('HDEL', hash, member)
    redis.call('ZREM', expiry, member)
  end
end
