#!lua flags=allow-oom
-- Lets a message of an agent run, and notes that it does, if the agent is awake. Safe to repeat.
-- KEYS: 1 agent HASH, 2 names ZSET, 3 running HASH, 4 waiting HASH
-- ARGV: 1 now ms or '', 2 agent, 3 message id, 4 where it runs
-- Reply: {1 runs | 0 not, state, token, until ms, wakes on messages 1|0, -1 it has no policy, strikes}
-- Cost: O(log agents)
--include now
--include agent
local told = agent_told(KEYS[1], 0)
if told[2] == 'awake' then
  local now_ms = clock(ARGV[1])
  if told[3] == 0 then
    redis.call('HSET', KEYS[1], 'state', 'awake', 'token', 1, 'since_ms', now_ms)
    told[3] = 1
  end
  if redis.call('HSET', KEYS[3], ARGV[3], ARGV[4]) == 1 then
    redis.call('HINCRBY', KEYS[1], 'messages', 1)
  end
  redis.call('HDEL', KEYS[4], ARGV[3])
  redis.call('ZADD', KEYS[2], now_ms, ARGV[2])
  told[1] = 1
end
return told
