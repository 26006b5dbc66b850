#!lua flags=allow-oom
-- Sets deliveries of one queue aside as dead letters, each with its reason; the delivery itself ends its history.
-- KEYS: 1 consumers ZSET, 2 counters HASH, 3 deaths HASH, 4 dead ZSET, 5 dead:records HASH, 6 dead:messages HASH,
--   7 inflight:<consumer> HASH, 8 started:<consumer> HASH, 9 consumers:info HASH, 10 dead:untold ZSET
-- ARGV: 1 now ms or '', 2 consumer, 3 queue name, then for each delivery: token, message id or '', reason, cause,
--   traceback or ''
-- Reply: for each delivery 1 set aside, 0 ended before, -1 stale
-- Cost: O(deliveries log dead)
--include record
--include now
--include standing
--include worker
--include bury
local now_ms, reply = clock(ARGV[1]), {}
local keys = { counters = KEYS[2], dead = KEYS[4], records = KEYS[5], messages = KEYS[6], untold = KEYS[10] }
local function set_aside(token, id, reason, cause, traceback)
  local priority, _, payload = split_record(redis.call('HGET', KEYS[7], token))
  -- Bytes that name no message are known by their digest; a repeat of them has the same past, so it is not forgotten.
  local digest = id == '' and not redis.call('HGET', KEYS[8], token) and 'digest:' .. redis.sha1hex(payload)
  id = id ~= '' and id or digest or redis.call('HGET', KEYS[8], token)
  local known = redis.call('HGET', KEYS[3], id)
  known = known and cjson.decode(known) or { history = {} }
  local history = known.history or {}
  table.insert(history, { consumer = ARGV[2], worker = worker_of(KEYS[9], ARGV[2]), at_ms = now_ms, how = 'set aside: ' .. reason })
  bury(keys, token, now_ms, priority, payload, {
    reason = reason, cause = cause, traceback = traceback, message_id = id, queue = ARGV[3], at_ms = now_ms,
    history = history, redriven = known.redriven, unique = known.unique,
  })
  if not digest then
    redis.call('HDEL', KEYS[3], id)
  end
  forget(KEYS[7], KEYS[8], nil, token)
end
for place = 4, #ARGV, 5 do
  local code = standing(KEYS[1], KEYS[2], KEYS[7], ARGV[2], ARGV[place])
  if code == 1 then
    set_aside(ARGV[place], ARGV[place + 1], ARGV[place + 2], ARGV[place + 3], ARGV[place + 4])
  end
  reply[#reply + 1] = code
end
return reply
