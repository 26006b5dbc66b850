-- Whether a consumer is registered; one that is being reaped (lease end 0) is not.
local function registered(consumers, consumer)
  local lease_end_ms = redis.call('ZSCORE', consumers, consumer)
  return lease_end_ms and tonumber(lease_end_ms) > 0
end

-- Outcome 1 if the consumer holds the delivery, 0 if it ended before, -1 (counted) if the consumer lost its lease.
local function standing(consumers, counters, inflight, consumer, token)
  if not registered(consumers, consumer) then
    redis.call('HINCRBY', counters, 'refused', 1)
    return -1
  end
  return redis.call('HEXISTS', inflight, token)
end

-- Forgets what stands beside a message that has ended: its deaths, and the unique key that ended with it.
local function forget_message(beside, id)
  local known = redis.call('HGET', beside.deaths, id)
  if not known then
    return
  end
  redis.call('HDEL', beside.deaths, id)
  redis.call('ZREM', beside.expiry, id)
  local digest = string.find(known, '"unique":', 1, true) and cjson.decode(known).unique
  local held = digest and redis.call('HGET', beside.unique, digest)
  -- By now another task may hold it.
  if held and cjson.decode(held).message_id == id then
    redis.call('HDEL', beside.unique, digest)
    redis.call('ZREM', beside.unique_expiry, digest)
  end
end

-- Forgets a delivery, and what stands beside its message if that has ended. Returns whether there was one.
local function forget(inflight, started, beside, token)
  if beside then
    local id = redis.call('HGET', started, token)
    if id then
      forget_message(beside, id)
    end
  end
  redis.call('HDEL', started, token)
  return redis.call('HDEL', inflight, token)
end
