#!lua flags=allow-oom
-- Lets a delivery of an agent that is not awake wait on the broker, uncounted and unchanged; one whose agent has moved since
-- the caller looked is due at once.
-- KEYS: 1 consumers ZSET, 2 counters HASH, 3 inflight:<consumer> HASH, 4 started:<consumer> HASH, 5 scheduled ZSET,
--   6 scheduled:messages HASH, 7 parked ZSET, 8 wake LIST, 9 agent HASH, 10 waiting HASH
-- ARGV: 1 now ms or '', 2 consumer, 3 token, 4 message id, 5 queue, 6 token of the agent as the caller saw it,
--   7 due ms or '', 8 mark or '' of its turn `;<key>;<weight>`
-- Reply: 1 waits, 0 ended before, -1 stale
-- Cost: O(log scheduled)
--include record
--include now
--include standing
--include wake
--include run
--include agent
local code = standing(KEYS[1], KEYS[2], KEYS[3], ARGV[2], ARGV[3])
if code ~= 1 then
  return code
end
local now_ms = clock(ARGV[1])
local has_moved = agent_told(KEYS[9], 0)[3] ~= tonumber(ARGV[6])
local due_ms = has_moved and now_ms or tonumber(ARGV[7]) or FAR_MS
local priority, mark, payload = split_record(redis.call('HGET', KEYS[3], ARGV[3]))
redis.call('ZADD', KEYS[5], string.format('%.0f', due_ms), ARGV[4])
redis.call('HSET', KEYS[6], ARGV[4], priority .. mark .. (mark == '' and ARGV[8] or '') .. ':' .. payload)
redis.call('ZREMRANGEBYSCORE', KEYS[7], '-inf', now_ms)
if has_moved then
  wake(KEYS[8])
else
  redis.call('ZADD', KEYS[7], string.format('%.0f', due_ms), ARGV[4])
  redis.call('HSET', KEYS[10], ARGV[4], ARGV[5])
end
redis.call('HINCRBY', KEYS[2], 'parked', 1)
forget(KEYS[3], KEYS[4], nil, ARGV[3])
return 1
