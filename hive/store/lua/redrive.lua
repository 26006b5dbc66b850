#!lua flags=allow-oom
-- Moves dead letters, their bytes untouched, to the ready lists of a queue, or to wait for their key's turn: each either
-- moves or stays, and one that is gone is passed over, so that a repeat doubles nothing. Counts of starts begin anew; the
-- history goes along, and so does the unique key, if it was not given to another.
-- KEYS: of the dead letters' queue: 1 counters HASH, 2 dead ZSET, 3 dead:records HASH, 4 dead:messages HASH; of the queue
--   they go to: 5 deaths HASH, 6 deaths:expiry ZSET, 7 wake LIST, 8 scheduled ZSET, 9 scheduled:messages HASH,
--   10.. ready LIST of each priority step
-- ARGV: 1 now ms or '', 2 how long a history is kept ms, 3 bytes after which to stop, 4 number of priority steps, 5.. the
--   steps, then ids
-- Reply: {ids looked at, letters moved}
-- Cost: O(ids log dead)
--include record
--include now
--include wake
--include lists
--include unbury
--include fair_mark
--include expire
local now_ms, kept_ms, left_bytes, steps = clock(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local ready, moved, looked = ready_lists(10, 5, steps), 0, 0
local keys = { counters = KEYS[1], dead = KEYS[2], records = KEYS[3], messages = KEYS[4] }
for place = 5 + steps, #ARGV do
  if left_bytes <= 0 then
    break
  end
  local record, message = unbury(keys, ARGV[place])
  looked = looked + 1
  if record then
    record = cjson.decode(record)
    local priority, payload = split_waiting(message)
    local history = record.history or {}
    table.insert(history, { consumer = '', worker = '', at_ms = now_ms, how = 'redriven' })
    -- A history that is kept for the message's own life: a finish forgets it, a next dead letter takes it up.
    local past = { count = 0, history = history, redriven = (tonumber(record.redriven) or 0) + 1,
      unique = record.unique }
    local id = record.message_id
    if record.edited_at_ms and string.sub(id, 1, 7) == 'digest:' then
      id = 'digest:' .. redis.sha1hex(payload)
    end
    redis.call('HSET', KEYS[5], id, cjson.encode(past))
    redis.call('ZADD', KEYS[6], now_ms + kept_ms, id)
    local fair_mark = fair_mark_of(payload)
    if fair_mark == '' then
      redis.call('LPUSH', ready[priority], payload)
    else
      -- The next claim has it wait for its turn, as with all that becomes due.
      redis.call('ZADD', KEYS[8], now_ms, id)
      redis.call('HSET', KEYS[9], id, priority .. fair_mark .. ':' .. payload)
    end
    moved, left_bytes = moved + 1, left_bytes - #payload
  end
end
if moved > 0 then
  keep_beside(KEYS[5], KEYS[6], kept_ms)
  redis.call('HINCRBY', KEYS[1], 'redriven', moved)
  wake(KEYS[7])
end
return { looked, moved }
