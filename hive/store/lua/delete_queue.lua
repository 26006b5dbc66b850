#!lua flags=allow-oom
-- Removes what stands beside the messages of a queue, unless somebody consumes it or it holds dead letters.
-- KEYS: 1 consumers ZSET, 2 dead ZSET, 3 state HASH, 4 counters HASH, 5 deaths HASH, 6 deaths:expiry ZSET,
--   7 published:0 SET, 8 published:1 SET, 9 unique HASH, 10 unique:expiry ZSET
-- ARGV: none
-- Reply: 1 removed, 0 kept
-- Cost: O(1), memory is freed in the background
if redis.call('ZCARD', KEYS[1]) + redis.call('ZCARD', KEYS[2]) > 0 then
  return 0
end
redis.call('UNLINK', unpack(KEYS, 3))
return 1
