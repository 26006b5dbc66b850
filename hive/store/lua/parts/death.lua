-- Adds a death to the count of a message. Returns its record; the last twenty of its history are kept.
local function count_death(key, expiry, id, now_ms, kept_ms, consumer, worker, how)
  local known = redis.call('HGET', key, id)
  local record = known and cjson.decode(known) or { count = 0, history = {} }
  record.count = record.count + 1
  table.insert(record.history, { consumer = consumer, worker = worker, at_ms = now_ms, how = how })
  if #record.history > 20 then
    table.remove(record.history, 1)
  end
  redis.call('HSET', key, id, cjson.encode(record))
  redis.call('ZADD', expiry, now_ms + kept_ms, id)
  -- Counts whose message left by another door (a stock worker, a purge) end here.
  expire(key, expiry, now_ms)
  keep_beside(key, expiry, kept_ms)
  return record
end
