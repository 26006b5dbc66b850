#!lua flags=allow-oom
-- Writes and announces a result if the delivery is current, and finishes the delivery unless it goes on.
-- KEYS: 1 consumers ZSET, 2 counters HASH, 3 deaths HASH, 4 inflight:<consumer> HASH, 5 started:<consumer> HASH,
--   6 the result STRING, 7 deaths:expiry ZSET, 8 unique HASH, 9 unique:expiry ZSET
-- ARGV: 1 consumer, 2 token, 3 result, 4 its time to live ms or 0, 5 channel or '', 6 finish 1|0
-- Reply: 1 written, 0 ended before, -1 stale
-- Cost: O(1), O(log deaths) if the message had died, published or held a key
--include standing
--include result
local code = standing(KEYS[1], KEYS[2], KEYS[4], ARGV[1], ARGV[2])
if code ~= 1 then
  return code
end
write_result(KEYS[6], ARGV[3], ARGV[4], ARGV[5])
if ARGV[6] == '1' then
  forget(KEYS[4], KEYS[5], { deaths = KEYS[3], expiry = KEYS[7], unique = KEYS[8], unique_expiry = KEYS[9] }, ARGV[2])
end
return 1
