-- Wakes one of those who wait for the queue. One token is enough: if nobody took it, nobody waits.
local function wake(key)
  if redis.call('LLEN', key) == 0 then
    redis.call('LPUSH', key, '1')
  end
end
