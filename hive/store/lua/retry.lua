#!lua flags=allow-oom
-- Finishes a delivery and publishes the message that follows it, both or neither.
-- KEYS: 1 consumers ZSET, 2 counters HASH, 3 deaths HASH, 4 inflight:<consumer> HASH, 5 started:<consumer> HASH; of the
--   queue the new message goes to: 6 scheduled ZSET, 7 scheduled:messages HASH, 8 wake LIST, 9 ready LIST of its step;
--   of the delivery's queue: 10 unique HASH, 11 unique:expiry ZSET, 12 deaths:expiry ZSET
-- ARGV: 1 now ms or '', 2 consumer, 3 token, 4 new message id, 5 due ms, 6 `<priority step>[;<key>;<weight>]`, 7 new envelope, 8 stays in its
--   queue 1|0
-- Reply: 1 done, 0 ended before, -1 stale
-- Cost: O(log scheduled)
--include now
--include standing
--include wake
--include expire
--include unique
local code = standing(KEYS[1], KEYS[2], KEYS[4], ARGV[2], ARGV[3])
if code ~= 1 then
  return code
end
local now_ms, due_ms = clock(ARGV[1]), tonumber(ARGV[5])
local keys = { unique = KEYS[10], unique_expiry = KEYS[11], deaths = KEYS[3], expiry = KEYS[12] }
pass_on(keys, redis.call('HGET', KEYS[5], ARGV[3]), ARGV[8] == '1' and ARGV[4], math.max(now_ms, due_ms), now_ms)
forget(KEYS[4], KEYS[5], keys, ARGV[3])
if due_ms <= now_ms and not string.find(ARGV[6], ';', 1, true) then
  redis.call('LPUSH', KEYS[9], ARGV[7])
else
  redis.call('ZADD', KEYS[6], ARGV[5], ARGV[4])
  redis.call('HSET', KEYS[7], ARGV[4], ARGV[6] .. ':' .. ARGV[7])
end
-- Due before an idle consumer would look by itself: wake one, so that it knows how long to wait.
if due_ms < now_ms + 5000 then
  wake(KEYS[8])
end
return 1
