-- Forgets members whose time is over, at most a hundred: what a hash knows of them, and when that was to end.
local function expire(hash, expiry, now_ms)
  for _, member in ipairs(redis.call('ZRANGEBYSCORE', expiry, '-inf', now_ms, 'LIMIT', 0, 100)) do
    redis.call('HDEL', hash, member)
    redis.call('ZREM', expiry, member)
  end
end

-- Keeps what is known beside messages for a time at least: one hash holds it for all of them, and the last to come is not to
-- end with those of old. An hour more, so that it is not set anew for each.
local function keep_beside(deaths, expiry, kept_ms)
  for _, key in ipairs({ deaths, expiry }) do
    if redis.call('PTTL', key) < kept_ms then
      redis.call('PEXPIRE', key, string.format('%.0f', kept_ms + 3600000))
    end
  end
end
