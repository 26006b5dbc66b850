#!lua
-- Keeps an agent's newest checkpoint beside the database that has it already; an older one never takes its place.
-- KEYS: 1 head HASH, 2 record STRING, 3 staged STRING: the record as it was sent, which this takes or removes
-- ARGV: 1 agent, 2 generation, 3 fencing token, 4 forgotten (1 or 0), 5 seal, 6 head kept ms, 7 record kept ms or 0: none is staged
-- Reply: 1, or 0 if a newer one is there, or what was staged is gone
-- Cost: O(1), whatever the size of the record
local newest = tonumber(redis.call('HGET', KEYS[1], 'generation') or 0) or 0
if newest > tonumber(ARGV[2]) then
  redis.call('UNLINK', KEYS[3])
  return 0
end
local is_staged = ARGV[7] ~= '0'
if is_staged and redis.call('EXISTS', KEYS[3]) == 0 then
  return 0
end
redis.call(
  'HSET', KEYS[1], 'agent', ARGV[1], 'generation', ARGV[2], 'fencing_token', ARGV[3], 'is_forgotten', ARGV[4],
  'seal', ARGV[5]
)
redis.call('PEXPIRE', KEYS[1], ARGV[6])
-- Renaming over a large value would free it here and now.
redis.call('UNLINK', KEYS[2])
if is_staged then
  redis.call('RENAME', KEYS[3], KEYS[2])
  redis.call('PEXPIRE', KEYS[2], ARGV[7])
end
return 1
