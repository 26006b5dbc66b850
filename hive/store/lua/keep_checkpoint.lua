#!lua
-- Keeps an agent's newest checkpoint beside the database that has it already; an older one never takes its place.
-- KEYS: 1 head HASH, 2 record STRING
-- ARGV: 1 agent, 2 generation, 3 fencing token, 4 forgotten (1 or 0), 5 seal, 6 head kept ms, 7 record or '', 8 record kept ms
-- Reply: 1, or 0 if a newer one is there
-- Cost: O(1)
local newest = tonumber(redis.call('HGET', KEYS[1], 'generation') or 0) or 0
if newest > tonumber(ARGV[2]) then
  return 0
end
redis.call(
  'HSET', KEYS[1], 'agent', ARGV[1], 'generation', ARGV[2], 'fencing_token', ARGV[3], 'is_forgotten', ARGV[4],
  'seal', ARGV[5]
)
redis.call('PEXPIRE', KEYS[1], ARGV[6])
if ARGV[7] == '' then
  redis.call('DEL', KEYS[2])
else
  redis.call('SET', KEYS[2], ARGV[7], 'PX', ARGV[8])
end
return 1
