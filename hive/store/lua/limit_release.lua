#!lua flags=allow-oom
-- Gives places of concurrency limits back. A repeat finds none.
-- KEYS: for each limit: state HASH, holders ZSET
-- ARGV: 1 who, 2 held for ms
-- Reply: places given back
-- Cost: O(limits log holders)
local count = 0
for place = 1, #KEYS, 2 do
  if redis.call('ZREM', KEYS[place + 1], ARGV[1]) == 1 then
    count = count + 1
    local held_ms = tonumber(redis.call('HGET', KEYS[place], 'held_ms') or ARGV[2])
    redis.call('HSET', KEYS[place], 'held_ms', string.format('%.1f', 0.8 * held_ms + 0.2 * ARGV[2]))
    redis.call('PEXPIRE', KEYS[place], 60000, 'GT')
    redis.call('PEXPIRE', KEYS[place], 60000, 'NX')
  end
end
return count
