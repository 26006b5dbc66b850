-- Setting deliveries of a consumer aside, many with few commands: each letter costs the broker as much as its bytes do.
-- `keys` names the keys, `round` holds what is the same for all and what is still to be written.
local function setting_aside(keys, consumer, queue, now_ms)
  return {
    keys = keys, consumer = consumer, queue = queue, now_ms = now_ms, worker = worker_of(keys.info, consumer),
    has_deaths = redis.call('EXISTS', keys.deaths) == 1, bytes = 0, seen = {},
    letters = {}, records = {}, messages = {}, ids = {}, tokens = {},
  }
end

-- Writes what was set aside so far.
local function write_letters(round)
  local keys, tokens = round.keys, round.tokens
  if #tokens == 0 then
    return
  end
  redis.call('ZADD', keys.dead, unpack(round.letters))
  redis.call('ZADD', keys.untold, unpack(round.letters))
  redis.call('HSET', keys.records, unpack(round.records))
  redis.call('HSET', keys.messages, unpack(round.messages))
  redis.call('HINCRBY', keys.counters, 'dead', #tokens)
  redis.call('HINCRBY', keys.counters, 'dead_bytes', round.bytes)
  redis.call('HDEL', keys.inflight, unpack(tokens))
  redis.call('HDEL', keys.started, unpack(tokens))
  if #round.ids > 0 then
    redis.call('HDEL', keys.deaths, unpack(round.ids))
  end
  round.letters, round.records, round.messages, round.ids, round.tokens, round.bytes = {}, {}, {}, {}, {}, 0
end

-- Sets one delivery aside; the delivery itself ends its history. Returns 1, or 0: it had ended.
local function set_aside(round, token, id, reason, cause, traceback)
  local keys = round.keys
  local held = not round.seen[token] and redis.call('HGET', keys.inflight, token)
  if not held then
    return 0
  end
  round.seen[token] = true
  local priority, _, payload = split_record(held)
  -- Bytes that name no message are known by their digest; a repeat of them has the same past, so it is not forgotten.
  local started = id == '' and redis.call('HGET', keys.started, token)
  local digest = id == '' and not started and 'digest:' .. redis.sha1hex(payload)
  id = id ~= '' and id or digest or started
  local known = round.has_deaths and redis.call('HGET', keys.deaths, id)
  known = known and cjson.decode(known) or {}
  local history = known.history or {}
  table.insert(history, { consumer = round.consumer, worker = round.worker, at_ms = round.now_ms, how = 'set aside: ' .. reason })
  local record = cjson.encode({
    reason = reason, cause = cause, traceback = traceback, message_id = id, queue = round.queue, at_ms = round.now_ms,
    history = history, redriven = known.redriven, unique = known.unique,
  })
  for list, pair in pairs({ letters = { round.now_ms, token }, records = { token, record }, messages = { token, priority .. ':' .. payload } }) do
    table.insert(round[list], pair[1])
    table.insert(round[list], pair[2])
  end
  if round.has_deaths and not digest then
    table.insert(round.ids, id)
  end
  table.insert(round.tokens, token)
  round.bytes = round.bytes + #payload
  if #round.tokens == 500 then
    write_letters(round)
  end
  return 1
end
