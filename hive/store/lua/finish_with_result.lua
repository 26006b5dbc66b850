#!lua flags=allow-oom
-- Writes and announces a result if the delivery is current, and finishes the delivery unless it goes on.
-- KEYS: 1 consumers ZSET, 2 counters HASH, 3 deaths HASH, 4 inflight:<consumer> HASH, 5 started:<consumer> HASH,
--   6 the result STRING
-- ARGV: 1 consumer, 2 token, 3 result, 4 its time to live ms or 0, 5 channel or '', 6 finish 1|0
-- Reply: 1 written, 0 ended before, -1 stale
-- Cost: O(1)
--include standing
local code = standing(KEYS[1], KEYS[2], KEYS[4], ARGV[1], ARGV[2])
if code ~= 1 then
  return code
end
if ARGV[4] == '0' then
  redis.call('SET', KEYS[6], ARGV[3])
else
  redis.call('SET', KEYS[6], ARGV[3], 'PX', ARGV[4])
end
if ARGV[5] ~= '' then
  redis.call('PUBLISH', ARGV[5], ARGV[3])
end
if ARGV[6] == '1' then
  forget(KEYS[4], KEYS[5], KEYS[3], ARGV[2])
end
return 1
