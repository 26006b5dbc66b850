#!lua
-- Puts messages with a key behind the ready lists of one queue, where keys take turns, and wakes one consumer; repeats are
-- dropped.
-- KEYS: 1 published:0 SET, 2 published:1 SET, 3 counters HASH, 4 wake LIST, 5 state HASH, 6 fair ZSET, 7 fair:turns ZSET,
--   8 fair:messages STREAM, 9 fair:waiting HASH, 10.. ready LIST of each priority step
-- ARGV: 1 now ms or '', 2 dedup window ms, 3 number of priority steps, 4.. the steps, then for each message: its step, dedup
--   digest or '', `;<key>;<weight>`, envelope
-- Reply: for each message 1 taken, 0 repeat
-- Cost: O(messages log behind)
--include now
--include wake
--include dedup
--include lists
--include fair
local steps = tonumber(ARGV[3])
local fair, ready = fair_keys(KEYS[5], 6), ready_lists(10, 4, steps)
local now_ms, reply, repeat_count = clock(ARGV[1]), {}, 0
for place = 4 + steps, #ARGV, 4 do
  local digest = ARGV[place + 1]
  if digest ~= '' and taken_before(digest, now_ms, tonumber(ARGV[2]), KEYS[1], KEYS[2]) then
    repeat_count = repeat_count + 1
    reply[#reply + 1] = 0
  else
    if fair_add(fair, ARGV[place], ARGV[place + 2], ARGV[place + 3]) then
      fair_pass(fair, ready, ARGV[place])
    end
    reply[#reply + 1] = 1
  end
end
fair_refill(fair, ready, 4, steps)
if repeat_count > 0 then
  redis.call('HINCRBY', KEYS[3], 'deduplicated', repeat_count)
end
if repeat_count < #reply then
  wake(KEYS[4])
end
return reply
