-- Makes a message that waited, or was about to, a dead letter, because its queue has no room.
local function shed(keys, queue, now_ms, now_us, priority, id, payload, limit)
  local fence = math.max((tonumber(redis.call('HGET', keys.state, 'fence')) or 0) + 1, now_us)
  local token = string.format('%.0f', fence)
  redis.call('HSET', keys.state, 'fence', token)
  redis.call('HDEL', keys.deaths, id)
  bury(keys, token, now_ms, priority, payload, {
    reason = 'shed', message_id = id, queue = queue, at_ms = now_ms,
    cause = 'its queue held the ' .. limit .. ' messages it may hold, and it was the newest of the lowest priority',
    history = { { consumer = '', worker = '', at_ms = now_ms, how = 'set aside: shed' } },
  })
  redis.call('HINCRBY', keys.counters, 'shed', 1)
end
