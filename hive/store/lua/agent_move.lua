#!lua flags=allow-oom
-- Moves an agent to another state, if it is still in the one that the caller saw: each move has its own token.
-- KEYS: 1 agent HASH, 2 names ZSET, 3 passing ZSET
-- ARGV: 1 now ms or '', 2 agent, 3 token seen, 4 new state, 5 longest time there ms or '', 6 who, 7 reason, or '': as before,
--   8 failure or '', 9 wakes in a row that timed out
-- Reply: {1 moved | 0 not, state, token, until ms, wakes on messages 1|0, -1 it has no policy, strikes}
-- Cost: O(log agents)
--include now
--include agent
local told = agent_told(KEYS[1], 0)
if told[3] ~= tonumber(ARGV[3]) then
  return told
end
local now_ms = clock(ARGV[1])
local until_ms = ARGV[5] ~= '' and now_ms + ARGV[5] or 0
redis.call('HSET', KEYS[1], 'state', ARGV[4], 'token', told[3] + 1, 'since_ms', now_ms, 'until_ms', until_ms, 'by', ARGV[6],
  'strikes', ARGV[9])
if ARGV[7] ~= '' then
  redis.call('HSET', KEYS[1], 'reason', ARGV[7])
end
if ARGV[8] ~= '' then
  redis.call('HSET', KEYS[1], 'failure', ARGV[8], 'failed_ms', now_ms)
end
-- Waking is not the last sign of life of an agent that sleeps: its idleness begins anew when it is awake.
redis.call('ZADD', KEYS[2], ARGV[4] == 'awake' and 'GT' or 'NX', now_ms, ARGV[2])
if until_ms > 0 then
  redis.call('ZADD', KEYS[3], until_ms, ARGV[2])
else
  redis.call('ZREM', KEYS[3], ARGV[2])
end
return agent_told(KEYS[1], 1)
