#!lua flags=allow-oom
-- Lets a delivery whose task nobody here knows wait on the broker, uncounted, until its grace time is over.
-- KEYS: 1 consumers ZSET, 2 counters HASH, 3 inflight:<consumer> HASH, 4 started:<consumer> HASH, 5 scheduled ZSET,
--   6 scheduled:messages HASH, 7 graces ZSET
-- ARGV: 1 now ms or '', 2 consumer, 3 token, 4 message id, 5 length of its grace time ms, 6 until the next look ms
-- Reply: 1 waits, 2 its grace time is over and nothing was changed, 0 ended before, -1 stale
-- Cost: O(log scheduled)
--include record
--include now
--include standing
--include fair_mark
local code = standing(KEYS[1], KEYS[2], KEYS[3], ARGV[2], ARGV[3])
if code ~= 1 then
  return code
end
local now_ms, grace_ms = clock(ARGV[1]), tonumber(ARGV[5])
-- Those that a worker took who knows them are forgotten here.
redis.call('ZREMRANGEBYSCORE', KEYS[7], '-inf', now_ms - 2 * grace_ms - 60000)
local first_ms = tonumber(redis.call('ZSCORE', KEYS[7], ARGV[4]) or now_ms)
if now_ms >= first_ms + grace_ms then
  redis.call('ZREM', KEYS[7], ARGV[4])
  return 2
end
redis.call('ZADD', KEYS[7], first_ms, ARGV[4])
redis.call('PEXPIRE', KEYS[7], 2 * grace_ms + 60000)
local priority, mark, payload = split_record(redis.call('HGET', KEYS[3], ARGV[3]))
redis.call('ZADD', KEYS[5], math.min(now_ms + tonumber(ARGV[6]), first_ms + grace_ms), ARGV[4])
redis.call('HSET', KEYS[6], ARGV[4], priority .. mark .. (mark == '' and fair_mark_of(payload) or '') .. ':' .. payload)
redis.call('HINCRBY', KEYS[2], 'postponed', 1)
forget(KEYS[3], KEYS[4], nil, ARGV[3])
return 1
