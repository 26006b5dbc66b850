-- Pops up to the credit, or until the bytes are reached, step by step over all queues. Returns the reply.
local function take_ready(queues, steps, now_us, waiting)
  local credit, bytes_left, reply = tonumber(ARGV[5]), tonumber(ARGV[6]), { 1, 0, waiting, -1 }
  for step = 0, steps - 1 do
    for _, queue in ipairs(queues) do
      while credit > 0 and bytes_left > 0 do
        local payload = redis.call('RPOP', KEYS[queue.first + 9 + step])
        if not payload then
          break
        end
        record_claim(queue, now_us, ARGV[4], ARGV[10 + step], payload, reply)
        credit, bytes_left = credit - 1, bytes_left - #payload
      end
    end
  end
  for _, queue in ipairs(queues) do
    keep_claim(queue, ARGV[4], '')
    if (credit == 0 or bytes_left <= 0) and ready_left(queue, steps) then
      reply[2] = 1
      wake(queue.wake)
    end
  end
  return reply
end
