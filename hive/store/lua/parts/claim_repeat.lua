-- The reply to a claim that has been answered before: the same batch, less what has ended since; or "late". Nil: a new one.
local function repeated(queues, sequence)
  local found = false
  for _, queue in ipairs(queues) do
    local last = tonumber(queue.last[1] or 0)
    if last > sequence then
      return { -2, 0, 0, -1, 0 }
    end
    found = found or last == sequence
  end
  if not found then
    return nil
  end
  local reply = { 1, 0, 0, -1, 0 }
  for _, queue in ipairs(queues) do
    if tonumber(queue.last[1] or 0) == sequence then
      for token in string.gmatch(queue.last[2], '%d+') do
        local record = redis.call('HGET', queue.inflight, token)
        if record then
          reply[#reply + 1] = queue.place
          reply[#reply + 1] = token
          reply[#reply + 1] = record
        end
      end
    end
  end
  return reply
end

-- Records one message in flight under the next token, and adds it to the reply.
local function record_claim(queue, now_us, sequence, head, payload, reply)
  queue.fence = math.max(queue.fence + 1, now_us)
  local token = string.format('%.0f', queue.fence)
  local record = head .. ':' .. sequence .. ':' .. payload
  redis.call('HSET', queue.inflight, token, record)
  queue.tokens[#queue.tokens + 1] = token
  reply[#reply + 1] = queue.place
  reply[#reply + 1] = token
  reply[#reply + 1] = record
  return token
end

-- Keeps what a claim took from a queue, so that it can be repeated.
local function keep_claim(queue, sequence, alone)
  if #queue.tokens > 0 then
    redis.call('HSET', queue.state, 'fence', queue.tokens[#queue.tokens])
    redis.call('HSET', queue.claimed, 'sequence', sequence, 'tokens', table.concat(queue.tokens, ','), 'alone', alone)
  end
end
