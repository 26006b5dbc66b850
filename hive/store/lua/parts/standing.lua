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

-- Forgets a delivery, and the deaths of its message if that has ended. Returns whether there was one.
local function forget(inflight, started, deaths, token)
  if deaths then
    local id = redis.call('HGET', started, token)
    if id then
      redis.call('HDEL', deaths, id)
    end
  end
  redis.call('HDEL', started, token)
  return redis.call('HDEL', inflight, token)
end
