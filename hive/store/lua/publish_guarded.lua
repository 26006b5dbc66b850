#!lua
-- Publishes or schedules messages of one queue, oldest first, whose keys nobody holds and for which there is room; repeats
-- are dropped. Where there is no room, the newest message of the lowest priority may become a dead letter instead.
-- KEYS: 1 published:0 SET, 2 published:1 SET, 3 counters HASH, 4 wake LIST, 5 scheduled ZSET, 6 scheduled:messages HASH,
--   7 unique HASH, 8 unique:expiry ZSET, 9 deaths HASH, 10 deaths:expiry ZSET, 11 suspects LIST, 12 state HASH, 13 dead ZSET,
--   14 dead:records HASH, 15 dead:messages HASH, 16 dead:untold ZSET, 17 fair ZSET, 18.. ready LIST of each priority step
-- ARGV: 1 now ms or '', 2 dedup window ms, 3 queue name, 4 bound in messages or 0, 5 sheds 1|0, 6 number of priority steps,
--   7.. the steps, then for each message: place of its step from 1, id, due ms or '', dedup digest or '', key or '', task id,
--   how long the key is held ms, the key ends with the task 1|0, `;<key>;<weight>` of its turn or '', envelope
-- Reply: for each message {1 taken | 0 repeat} or {2 its key is held, by which task} or {3 full | 4 shed itself, length}
-- Cost: O(messages log scheduled), and for what is shed O(its bytes)
--include now
--include wake
--include dedup
--include expire
--include unique
--include bound
--include bury
--include shed
local FIRST_READY, SOON_MS = 18, 5000
local now_ms, now_us = clock(ARGV[1])
local limit, steps = tonumber(ARGV[4]), tonumber(ARGV[6])
local keys = { counters = KEYS[3], scheduled = KEYS[5], unique = KEYS[7], unique_expiry = KEYS[8], deaths = KEYS[9],
  expiry = KEYS[10], suspects = KEYS[11], dead = KEYS[13], records = KEYS[14], messages = KEYS[15], untold = KEYS[16], state = KEYS[12], fair = KEYS[17] }

local function put(step, id, due_ms, mark, payload)
  if mark ~= '' or due_ms and due_ms > now_ms then
    redis.call('ZADD', keys.scheduled, due_ms or now_ms, id)
    redis.call('HSET', KEYS[6], id, ARGV[6 + step] .. mark .. ':' .. payload)
  else
    redis.call('LPUSH', KEYS[FIRST_READY + step - 1], payload)
  end
  if not due_ms or due_ms < now_ms + SOON_MS then
    wake(KEYS[4])
  end
end

local function admit(step, id, due_ms, digest, key, task_id, within_ms, until_done, mark, payload)
  local holder = key ~= '' and holder_of(keys, key, now_ms)
  if holder and holder ~= task_id then
    redis.call('HINCRBY', keys.counters, 'twins', 1)
    return { 2, holder }
  end
  if holder or digest ~= '' and taken_before(digest, now_ms, tonumber(ARGV[2]), KEYS[1], KEYS[2]) then
    redis.call('HINCRBY', keys.counters, 'deduplicated', 1)
    return { 0 }
  end
  local length = limit > 0 and waiting_count(keys, FIRST_READY, steps) or -1
  if limit > 0 and length >= limit then
    if ARGV[5] == '0' then
      -- It was not published, so a next try is no repeat.
      redis.call('SREM', KEYS[1], digest)
      redis.call('SREM', KEYS[2], digest)
      redis.call('HINCRBY', keys.counters, 'refused_full', 1)
      return { 3, length }
    end
    local lowest, victim = lowest_below(step, FIRST_READY, steps)
    if not lowest then
      shed(keys, ARGV[3], now_ms, now_us, ARGV[6 + step], id, payload, limit)
      return { 4, length }
    end
    shed(keys, ARGV[3], now_ms, now_us, ARGV[6 + lowest], id_of(victim), victim, limit)
  end
  put(step, id, due_ms, mark, payload)
  if key ~= '' then
    local message_id = until_done and id or nil
    hold(keys, key, math.max(now_ms, due_ms or 0), now_ms, { task_id = task_id, message_id = message_id, within_ms = within_ms })
  end
  return { 1 }
end

expire(keys.unique, keys.unique_expiry, now_ms)
expire(keys.deaths, keys.expiry, now_ms)
local reply = {}
for place = 7 + steps, #ARGV, 10 do
  local step, id, due_ms, digest, key, task_id, within_ms, until_done, mark, payload = unpack(ARGV, place, place + 9)
  reply[#reply + 1] =
    admit(tonumber(step), id, tonumber(due_ms), digest, key, task_id, tonumber(within_ms), until_done == '1', mark, payload)
end
return reply
