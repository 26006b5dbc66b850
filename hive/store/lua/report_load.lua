#!lua flags=allow-oom
-- Notes that a worker's lane is open, by which consumer it lives, how many messages wait in it and what the worker says.
-- KEYS: 1 lanes ZSET, 2 loads HASH, 3.. LIST of the lane for each priority step
-- ARGV: 1 now ms or '', 2 worker, 3 consumer, 4 load
-- Reply: messages that wait in the lane
-- Cost: O(log lanes)
--include now
local now_ms, waiting = clock(ARGV[1]), 0
for place = 3, #KEYS do
  waiting = waiting + redis.call('LLEN', KEYS[place])
end
redis.call('ZADD', KEYS[1], now_ms, ARGV[2])
redis.call('HSET', KEYS[2], ARGV[2], ARGV[3] .. ' ' .. waiting .. ' ' .. ARGV[4])
return waiting
