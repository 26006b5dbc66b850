#!lua flags=allow-oom
-- Says how much work waits in queues, and since when; nothing is changed.
-- KEYS: for each queue: scheduled ZSET, fair ZSET, fair:messages STREAM, suspects LIST, consumers ZSET, what the name of
--   inflight:<consumer> HASH begins with, ready LIST of each priority step
-- ARGV: 1 now ms or '', 2 number of priority steps
-- Reply: for each queue {messages that may run now, consumers whose lease goes on, messages in flight (of 1000 consumers),
--   ms the oldest of those that may run has waited}
-- Cost: O(queues log scheduled + consumers)
--include now
local now_ms, steps, reply = clock(ARGV[1]), tonumber(ARGV[2]), {}
-- What a producer of ours notes behind the headers; where one waited for an eta, its time on the list is not known.
local function since(payload)
  local ending = payload and string.sub(payload, -8192)
  if not ending or string.find(ending, '"eta": "', 1, true) then
    return now_ms
  end
  return math.min(tonumber(string.match(ending, '"hive_published_at_ms": ?(%d+)')) or now_ms, now_ms)
end
for first = 1, #KEYS, 6 + steps do
  local waiting, oldest_ms = redis.call('ZCARD', KEYS[first + 1]) + redis.call('LLEN', KEYS[first + 3]), now_ms
  local due = redis.call('ZCOUNT', KEYS[first], '-inf', now_ms)
  if due > 0 then
    oldest_ms = tonumber(redis.call('ZRANGE', KEYS[first], 0, 0, 'WITHSCORES')[2])
  end
  if waiting > 0 then
    local behind = redis.call('XRANGE', KEYS[first + 2], '-', '+', 'COUNT', 1)[1]
    oldest_ms = math.min(oldest_ms, since(behind and behind[2][4]))
  end
  for step = 1, steps do
    local ready = KEYS[first + 5 + step]
    local length = redis.call('LLEN', ready)
    if length > 0 then
      waiting, oldest_ms = waiting + length, math.min(oldest_ms, since(redis.call('LINDEX', ready, -1)))
    end
  end
  -- What the dead hold as well: if they were the last of the queue, only a worker that is started for it returns that.
  local held = 0
  for _, consumer in ipairs(redis.call('ZREVRANGE', KEYS[first + 4], 0, 999)) do
    held = held + redis.call('HLEN', KEYS[first + 5] .. consumer)
  end
  reply[#reply + 1] = { waiting + due, redis.call('ZCOUNT', KEYS[first + 4], now_ms, '+inf'), held, now_ms - oldest_ms }
end
return reply
