#!lua flags=allow-oom
-- Extends a consumer's lease on its queues by one term from now, makes due scheduled messages ready, and wakes a
-- consumer where messages wait and no token does: a stock producer leaves none.
-- KEYS: for each queue: consumers ZSET, scheduled ZSET, scheduled:messages HASH, wake LIST, counters HASH,
--   inflight:<consumer> HASH, suspects LIST, state HASH, fair ZSET, fair:turns ZSET, fair:messages STREAM, fair:waiting
--   HASH, ready LIST of each priority step
-- ARGV: 1 now ms or '', 2 consumer, 3 lease ms, 4 messages to promote at most, 5.. priority steps
-- Reply: for each queue {1 extended | 0 not registered, messages in flight, messages promoted}
-- Cost: O(queues + promoted)
--include record
--include now
--include standing
--include wake
--include lists
--include fair
--include promote
local now_ms = clock(ARGV[1])
local steps = #ARGV - 4
local reply = {}
for first = 1, #KEYS, 12 + steps do
  if registered(KEYS[first], ARGV[2]) then
    redis.call('ZADD', KEYS[first], now_ms + ARGV[3], ARGV[2])
    local ready, fair = ready_lists(first + 12, 5, steps), fair_keys(KEYS[first + 7], first + 8)
    local count = promote(now_ms, ARGV[4], KEYS[first + 1], KEYS[first + 2], KEYS[first + 4], ready, KEYS[first + 6], fair)
    if redis.call('EXISTS', fair.order) == 1 then
      fair_refill(fair, ready, 5, steps)
    end
    if redis.call('EXISTS', KEYS[first + 6], unpack(KEYS, first + 12, first + 11 + steps)) > 0 then
      wake(KEYS[first + 3])
    end
    reply[#reply + 1] = { 1, redis.call('HLEN', KEYS[first + 5]), count }
  else
    reply[#reply + 1] = { 0, 0, 0 }
  end
end
return reply
