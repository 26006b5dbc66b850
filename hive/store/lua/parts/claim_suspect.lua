-- Whose turn it is to run empty for the suspects of a queue. A turn that is not used ends with one lease.
local function takes_turn(queue, consumer, now_ms, lease_ms)
  local turn = redis.call('HMGET', queue.state, 'turn', 'turn_until_ms')
  if turn[1] and turn[1] ~= consumer and tonumber(turn[2]) > now_ms and tonumber(turn[2]) <= now_ms + lease_ms then
    return false
  end
  redis.call('HSET', queue.state, 'turn', consumer, 'turn_until_ms', now_ms + lease_ms)
  return true
end

-- Whether ready messages are left in a queue.
local function ready_left(queue, steps)
  local first = queue.first + 13
  return redis.call('EXISTS', queue.fair.order, unpack(KEYS, first, first + steps - 1)) > 0
end

-- The reply to a claim that suspects decide, or nil and whether any wait, to go on with the ready lists.
local function suspect_first(queues, steps, idle, now_ms, now_us)
  local chosen, waiting, drain = nil, 0, false
  for _, queue in ipairs(queues) do
    local alone = queue.last[3]
    if alone and alone ~= '' and redis.call('HEXISTS', queue.inflight, alone) == 1 then
      return { 3, 0, 0, -1, 0 }
    end
    idle = idle and redis.call('HLEN', queue.inflight) == 0
    local length = redis.call('LLEN', queue.suspects)
    chosen = chosen or (length > 0 and queue) or nil
    waiting = waiting + length
  end
  if not chosen then
    return nil, 0
  end
  if not idle then
    for _, queue in ipairs(queues) do
      drain = drain or (redis.call('LLEN', queue.suspects) > 0 and takes_turn(queue, ARGV[3], now_ms, tonumber(ARGV[8])))
    end
    return drain and { 2, 0, 1, -1, 0 } or nil, 1
  end
  local reply = { 1, 0, waiting > 1 and 1 or 0, -1, 0 }
  local priority, payload = split_waiting(redis.call('RPOP', chosen.suspects))
  local token = record_claim(chosen, now_us, ARGV[4], priority .. '!', payload, reply)
  keep_claim(chosen, ARGV[4], token)
  redis.call('HDEL', chosen.state, 'turn', 'turn_until_ms')
  for _, queue in ipairs(queues) do
    if redis.call('LLEN', queue.suspects) > 0 or ready_left(queue, steps) then
      wake(queue.wake)
    end
  end
  return reply
end
