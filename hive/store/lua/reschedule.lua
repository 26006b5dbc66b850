#!lua flags=allow-oom
-- Moves a delivery, unchanged and uncounted, to the scheduled set.
-- KEYS: 1 consumers ZSET, 2 counters HASH, 3 inflight:<consumer> HASH, 4 started:<consumer> HASH, 5 scheduled ZSET,
--   6 scheduled:messages HASH
-- ARGV: 1 consumer, 2 token, 3 message id, 4 due ms
-- Reply: 1 moved, 0 ended before, -1 stale
-- Cost: O(log scheduled)
--include record
--include standing
local code = standing(KEYS[1], KEYS[2], KEYS[3], ARGV[1], ARGV[2])
if code ~= 1 then
  return code
end
local priority, _, payload = split_record(redis.call('HGET', KEYS[3], ARGV[2]))
redis.call('ZADD', KEYS[5], ARGV[4], ARGV[3])
redis.call('HSET', KEYS[6], ARGV[3], priority .. ':' .. payload)
forget(KEYS[3], KEYS[4], nil, ARGV[2])
return 1
