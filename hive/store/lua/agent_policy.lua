#!lua
-- Sets when an agent sleeps and what wakes it; an agent that nobody has named before is awake.
-- KEYS: 1 agent HASH, 2 names ZSET
-- ARGV: 1 now ms or '', 2 agent, 3 policy, 4 wakes on messages 1|0
-- Reply: 1
-- Cost: O(log agents)
--include now
local now_ms = clock(ARGV[1])
if redis.call('HSETNX', KEYS[1], 'token', 1) == 1 then
  redis.call('HSET', KEYS[1], 'state', 'awake', 'since_ms', now_ms)
end
redis.call('HSET', KEYS[1], 'policy', ARGV[3], 'wakes', ARGV[4])
redis.call('ZADD', KEYS[2], 'NX', now_ms, ARGV[2])
return 1
