-- Wakes one of those who wait for the queue. One token is enough: if nobody took it, nobody waits. A token is a hint and
-- ends by itself, so that none is left behind where a queue is gone.
local function wake(key)
  if redis.call('LLEN', key) == 0 then
    redis.call('LPUSH', key, '1')
    redis.call('PEXPIRE', key, 60000)
  end
end
