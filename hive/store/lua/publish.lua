#!lua
-- Puts messages into the ready lists of one queue, oldest first, and wakes one consumer; repeats are dropped.
-- KEYS: 1 published:0 SET, 2 published:1 SET, 3 counters HASH, 4 wake LIST, 5.. ready LIST of each priority step
-- ARGV: 1 now ms or '', 2 dedup window ms, then for each message: place of its step from 1, dedup digest or '', envelope
-- Reply: for each message 1 taken, 0 repeat
-- Cost: O(messages)
--include now
--include wake
--include dedup
local now_ms = clock(ARGV[1])
local reply, repeats = {}, 0
for place = 3, #ARGV, 3 do
  local digest = ARGV[place + 1]
  if digest ~= '' and taken_before(digest, now_ms, tonumber(ARGV[2]), KEYS[1], KEYS[2]) then
    repeats = repeats + 1
    reply[#reply + 1] = 0
  else
    redis.call('LPUSH', KEYS[4 + ARGV[place]], ARGV[place + 2])
    reply[#reply + 1] = 1
  end
end
if repeats > 0 then
  redis.call('HINCRBY', KEYS[3], 'deduplicated', repeats)
end
if repeats < #reply then
  wake(KEYS[4])
end
return reply
