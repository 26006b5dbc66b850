#!lua flags=allow-oom
-- Publishes what follows from a delivery, if that is current and did not publish it before: each step once for all
-- deliveries of the message, as the record of its deaths, which ends with it, keeps the digests of the first 1,000.
-- KEYS: 1 consumers ZSET, 2 counters HASH, 3 deaths HASH, 4 inflight:<consumer> HASH; of the queue the new message goes
--   to: 5 published:0 SET, 6 published:1 SET, 7 counters HASH, 8 scheduled ZSET, 9 scheduled:messages HASH, 10 wake LIST,
--   11 ready LIST of its step; 12 deaths:expiry ZSET of the delivery's queue
-- ARGV: 1 now ms or '', 2 consumer, 3 token, 4 message id of the delivery, 5 how long a record is kept ms, 6 digest of the
--   step, 7 dedup window ms, 8 new message id, 9 due ms or '', 10 `<priority step>[;<key>;<weight>]`, 11 new envelope
-- Reply: 1 published, 2 repeat, 0 ended before, -1 stale
-- Cost: O(steps of the delivery + log scheduled)
--include now
--include standing
--include dedup
--include expire
--include wake
local code = standing(KEYS[1], KEYS[2], KEYS[4], ARGV[2], ARGV[3])
if code ~= 1 then
  return code
end
local now_ms = clock(ARGV[1])
local known = redis.call('HGET', KEYS[3], ARGV[4])
local record = known and cjson.decode(known) or { count = 0, history = {} }
local steps = record.steps or {}
local repeated = false
for _, step in ipairs(steps) do
  repeated = repeated or step == ARGV[6]
end
if not repeated and #steps >= 1000 then
  repeated = taken_before(ARGV[6], now_ms, tonumber(ARGV[7]), KEYS[5], KEYS[6])
elseif not repeated then
  steps[#steps + 1] = ARGV[6]
  record.steps = steps
  redis.call('HSET', KEYS[3], ARGV[4], cjson.encode(record))
  -- The message may leave by another door (a purge), and then nobody else forgets it.
  redis.call('ZADD', KEYS[12], now_ms + ARGV[5], ARGV[4])
  expire(KEYS[3], KEYS[12], now_ms)
  keep_beside(KEYS[3], KEYS[12], tonumber(ARGV[5]))
end
if repeated then
  redis.call('HINCRBY', KEYS[7], 'deduplicated', 1)
  return 2
end
local due_ms = tonumber(ARGV[9]) or now_ms
if due_ms <= now_ms and not string.find(ARGV[10], ';', 1, true) then
  redis.call('LPUSH', KEYS[11], ARGV[11])
else
  redis.call('ZADD', KEYS[8], due_ms, ARGV[8])
  redis.call('HSET', KEYS[9], ARGV[8], ARGV[10] .. ':' .. ARGV[11])
end
if due_ms < now_ms + 5000 then
  wake(KEYS[10])
end
return 1
