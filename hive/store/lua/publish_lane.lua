#!lua
-- Puts messages into a worker's lane, oldest first, and wakes that worker; into the ready lists of the queue, where any takes
-- them, if the lease of the worker has ended. Repeats are dropped.
-- KEYS: 1 published:0 SET, 2 published:1 SET, 3 counters HASH, 4 wake LIST, 5 consumers ZSET, 6 loads HASH, 7 wake of the
--   lane LIST, 8.. ready LIST of each priority step, then LIST of the lane for each priority step
-- ARGV: 1 now ms or '', 2 dedup window ms, 3 worker, 4 number of priority steps, 5.. place of its step from 0, dedup digest or
--   '', envelope, and so on for each message
-- Reply: for each message 1 taken, 0 repeat
-- Cost: O(messages)
--include now
--include wake
--include dedup
--include lane
local now_ms, window_ms = clock(ARGV[1]), tonumber(ARGV[2])
local lives = lane_lives(KEYS[5], redis.call('HGET', KEYS[6], ARGV[3]), now_ms)
local first, woken, reply = lives and 8 + ARGV[4] or 8, lives and KEYS[7] or KEYS[4], {}
for place = 5, #ARGV, 3 do
  local digest = ARGV[place + 1]
  if digest ~= '' and taken_before(digest, now_ms, window_ms, KEYS[1], KEYS[2]) then
    redis.call('HINCRBY', KEYS[3], 'deduplicated', 1)
    reply[#reply + 1] = 0
  else
    redis.call('LPUSH', KEYS[first + ARGV[place]], ARGV[place + 2])
    wake(woken)
    reply[#reply + 1] = 1
  end
end
return reply
