#!lua
-- Puts dead letters back that were exported or archived; one whose id is there already is passed over.
-- KEYS: 1 counters HASH, 2 dead ZSET, 3 dead:records HASH, 4 dead:messages HASH
-- ARGV: for each letter: id, when it was set aside ms, record, `<priority>:<envelope>`
-- Reply: letters put back
-- Cost: O(letters log dead)
local count = 0
for place = 1, #ARGV, 4 do
  if redis.call('HSETNX', KEYS[3], ARGV[place], ARGV[place + 2]) == 1 then
    redis.call('ZADD', KEYS[2], ARGV[place + 1], ARGV[place])
    redis.call('HSET', KEYS[4], ARGV[place], ARGV[place + 3])
    redis.call('HINCRBY', KEYS[1], 'dead_bytes', #ARGV[place + 3] - #string.match(ARGV[place + 3], '^%d+:'))
    count = count + 1
  end
end
return count
