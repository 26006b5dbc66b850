#!lua flags=allow-oom
-- Moves a batch of a lane to the ready lists of its queue, to be claimed next, unless the lane's worker lives; forgets the
-- lane once it is empty.
-- KEYS: 1 consumers ZSET, 2 lanes ZSET, 3 loads HASH, 4 counters HASH, 5 wake LIST, 6.. ready LIST of each priority step, then
--   LIST of the lane for each priority step
-- ARGV: 1 now ms or '', 2 worker, 3 anyway 1|0, 4 messages at most
-- Reply: messages moved
-- Cost: O(messages)
--include now
--include wake
--include lane
local steps, left, moved = (#KEYS - 5) / 2, tonumber(ARGV[4]), 0
if ARGV[3] == '0' and lane_lives(KEYS[1], redis.call('HGET', KEYS[3], ARGV[2]), clock(ARGV[1])) then
  return 0
end
for step = 6, 5 + steps do
  -- The youngest first, so that the oldest ends up at the head of its list.
  while left > 0 and redis.call('LMOVE', KEYS[step + steps], KEYS[step], 'LEFT', 'RIGHT') do
    left, moved = left - 1, moved + 1
  end
end
if left > 0 then
  redis.call('ZREM', KEYS[2], ARGV[2])
  redis.call('HDEL', KEYS[3], ARGV[2])
end
if moved > 0 then
  redis.call('HINCRBY', KEYS[4], 'rerouted', moved)
  wake(KEYS[5])
end
return moved
