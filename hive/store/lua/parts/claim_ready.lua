-- The next message of a priority step, or nil: of the consumer's own lane before all others, but for every fourth claim. Where some wait for their key's turn and more is ready than was put there in
-- turn, they alternate: messages without a key are not to keep them waiting.
local function next_message(queue, step)
  local ready = KEYS[queue.first + 13 + step]
  if queue.lane then
    local first, second = KEYS[queue.lane + step], ready
    if queue.lane_last then
      first, second = second, first
    end
    local payload = redis.call('RPOP', first) or redis.call('RPOP', second)
    if payload or not queue.has_keys then
      return payload
    end
  end
  if not queue.has_keys then
    return redis.call('RPOP', ready)
  end
  local priority = tonumber(ARGV[11 + step])
  queue.is_odd = not queue.is_odd
  local passes = queue.is_odd and redis.call('LLEN', ready) > WINDOW + 1
  return passes and fair_next(queue.fair, priority) or redis.call('RPOP', ready) or fair_next(queue.fair, priority)
end

-- Pops up to the credit, or until the bytes are reached, step by step over all queues. Returns the reply.
local function take_ready(queues, steps, now_us, waiting)
  local credit, bytes_left, reply = tonumber(ARGV[5]), tonumber(ARGV[6]), { 1, 0, waiting, -1, 0 }
  for step = 0, steps - 1 do
    for _, queue in ipairs(queues) do
      while credit > 0 and bytes_left > 0 do
        local payload = next_message(queue, step)
        if not payload then
          break
        end
        record_claim(queue, now_us, ARGV[4], ARGV[11 + step], payload, reply)
        credit, bytes_left = credit - 1, bytes_left - #payload
      end
    end
  end
  for _, queue in ipairs(queues) do
    if credit > 0 and bytes_left > 0 and queue.long then
      credit = credit - steal(queue, steps, credit, now_us, reply)
    end
    keep_claim(queue, ARGV[4], '')
    if queue.has_keys then
      fair_refill(queue.fair, queue.ready, 11, steps)
    end
    if (credit == 0 or bytes_left <= 0) and ready_left(queue, steps) then
      reply[2] = 1
      wake(queue.wake)
    elseif (credit == 0 or bytes_left <= 0) and queue.lane and redis.call('EXISTS', unpack(KEYS, queue.lane, queue.lane + steps - 1)) > 0 then
      reply[2] = 1
    end
  end
  return reply
end
