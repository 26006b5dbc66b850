-- Counts a death and sends the message where it leads: 1 ready, 2 suspects, 3 dead letters.
local function after_death(keys, ready, limits, death, token, id, record)
  local priority, _, payload = split_record(record)
  local known =
    count_death(keys.deaths, keys.expiry, id, death.now_ms, limits.kept_ms, death.consumer, death.worker, death.how)
  redis.call('HINCRBY', keys.counters, 'deaths', 1)
  if known.count >= limits.max_deliveries then
    bury(keys, token, death.now_ms, priority, payload, {
      reason = 'max_deliveries', message_id = id, queue = death.queue, at_ms = death.now_ms, history = known.history,
      cause = 'its worker died under it ' .. known.count .. ' times, last: ' .. death.how, redriven = known.redriven, unique = known.unique,
    })
    redis.call('HDEL', keys.deaths, id)
    redis.call('ZREM', keys.expiry, id)
    return 3
  end
  redis.call('HINCRBY', keys.counters, 'redelivered', 1)
  if known.count == limits.max_deliveries - 1 then
    redis.call('LPUSH', keys.suspects, priority .. ':' .. payload)
    return 2
  end
  redis.call('RPUSH', ready[priority], payload)
  return 1
end
