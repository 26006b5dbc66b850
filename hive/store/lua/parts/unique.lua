-- A key is held by a task until its time is over, or until its message has ended: then the record of its deaths, which
-- a finish forgets with the message, is gone.

-- The task that holds a key, or nil.
local function holder_of(keys, digest, now_ms)
  local known = redis.call('HGET', keys.unique, digest)
  local record = known and cjson.decode(known)
  if not record or record.until_ms <= now_ms
      or (record.message_id and redis.call('HEXISTS', keys.deaths, record.message_id) == 0) then
    return nil
  end
  return record.task_id
end

-- Gives a key to a task, from an instant on; `record` says which task, how long and, if it ends with it, which message.
local function hold(keys, digest, from_ms, now_ms, record)
  record.until_ms = from_ms + record.within_ms
  redis.call('HSET', keys.unique, digest, cjson.encode(record))
  redis.call('ZADD', keys.unique_expiry, record.until_ms, digest)
  if record.message_id then
    redis.call('HSET', keys.deaths, record.message_id, cjson.encode({ count = 0, history = {}, unique = digest }))
    redis.call('ZADD', keys.expiry, record.until_ms, record.message_id)
    keep_beside(keys.deaths, keys.expiry, record.until_ms - now_ms)
  end
end

-- Lets the message that takes another's place hold its key; in another queue, where nothing says how it ends, for a time.
local function pass_on(keys, old_id, new_id, from_ms, now_ms)
  local known = old_id and redis.call('HGET', keys.deaths, old_id)
  local digest = known and cjson.decode(known).unique
  local held = digest and redis.call('HGET', keys.unique, digest)
  local record = held and cjson.decode(held)
  if record and record.message_id == old_id then
    record.message_id = new_id or nil
    hold(keys, digest, from_ms, now_ms, record)
  end
end
