-- Finds out whether the consumer's lane of a queue holds anything, and another's more than is left to it.
local function find_lanes(queue, steps)
  if #ARGV == 10 + steps then
    return
  end
  local lane, other = queue.first + 13 + steps, queue.first + 13 + 2 * steps
  if redis.call('EXISTS', unpack(KEYS, lane, lane + steps - 1)) > 0 then
    queue.lane, queue.lane_last = lane, tonumber(ARGV[4]) % 4 == 0
  end
  local kept, length = tonumber(ARGV[10 + steps + queue.place]), 0
  if kept >= 0 then
    for place = other, other + steps - 1 do
      length = length + redis.call('LLEN', KEYS[place])
    end
    if length > kept then
      queue.long, queue.excess = other, length - kept
    end
  end
end

-- Takes half of what a long lane holds above what is left to it. Returns how many that were.
local function steal(queue, steps, credit, now_us, reply)
  local left = math.min(credit, math.ceil(queue.excess / 2))
  local count = 0
  for step = 0, steps - 1 do
    while left > 0 do
      local payload = redis.call('RPOP', KEYS[queue.long + step])
      if not payload then
        break
      end
      record_claim(queue, now_us, ARGV[4], ARGV[11 + step], payload, reply)
      left, count = left - 1, count + 1
    end
  end
  if count > 0 then
    redis.call('HINCRBY', KEYS[queue.first + 6], 'stolen', count)
    reply[2] = count < queue.excess and 1 or reply[2]
  end
  return count
end
