-- Writes a result, for a time if that is not '0', and announces it, if there is a channel.
local function write_result(key, value, ttl_ms, channel)
  if ttl_ms == '0' then
    redis.call('SET', key, value)
  else
    redis.call('SET', key, value, 'PX', ttl_ms)
  end
  if channel ~= '' then
    redis.call('PUBLISH', channel, value)
  end
end
