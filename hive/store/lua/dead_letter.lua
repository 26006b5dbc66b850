#!lua flags=allow-oom
-- Sets a delivery aside as a dead letter, with its reason.
-- KEYS: 1 consumers ZSET, 2 counters HASH, 3 deaths HASH, 4 dead ZSET, 5 dead:records HASH, 6 dead:messages HASH,
--   7 inflight:<consumer> HASH, 8 started:<consumer> HASH
-- ARGV: 1 now ms or '', 2 consumer, 3 token, 4 message id or '', 5 reason, 6 cause, 7 queue name
-- Reply: 1 set aside, 0 ended before, -1 stale
-- Cost: O(log dead)
--include record
--include now
--include standing
--include bury
local code = standing(KEYS[1], KEYS[2], KEYS[7], ARGV[2], ARGV[3])
if code ~= 1 then
  return code
end
local id = ARGV[4] ~= '' and ARGV[4] or redis.call('HGET', KEYS[8], ARGV[3]) or ''
local known = redis.call('HGET', KEYS[3], id)
local now_ms = clock(ARGV[1])
local priority, _, payload = split_record(redis.call('HGET', KEYS[7], ARGV[3]))
bury({ dead = KEYS[4], records = KEYS[5], messages = KEYS[6], counters = KEYS[2] }, ARGV[3], now_ms, priority, payload, {
  reason = ARGV[5], cause = ARGV[6], message_id = id, queue = ARGV[7], at_ms = now_ms,
  history = known and cjson.decode(known).history or {},
})
redis.call('HDEL', KEYS[3], id)
forget(KEYS[7], KEYS[8], nil, ARGV[3])
return 1
