#!lua flags=allow-oom
-- Removes what stands beside the messages of a queue, unless somebody consumes it, it holds dead letters, or messages wait
-- for their key's turn, in the order of a number that the state keeps: somebody has published since it was purged.
-- KEYS: 1 consumers ZSET, 2 dead ZSET, 3 fair ZSET, 4 state HASH, 5 counters HASH, 6 deaths HASH, 7 deaths:expiry ZSET,
--   8 published:0 SET, 9 published:1 SET, 10 unique HASH, 11 unique:expiry ZSET
-- ARGV: none
-- Reply: 1 removed, 0 kept
-- Cost: O(1), memory is freed in the background
if redis.call('ZCARD', KEYS[1]) + redis.call('ZCARD', KEYS[2]) + redis.call('ZCARD', KEYS[3]) > 0 then
  return 0
end
redis.call('UNLINK', unpack(KEYS, 4))
return 1
