#!lua flags=allow-oom
-- Removes scheduled messages, parked ones too.
-- KEYS: 1 scheduled ZSET, 2 scheduled:messages HASH, 3 parked ZSET
-- ARGV: 1.. message ids
-- Reply: how many there were
-- Cost: O(ids log scheduled)
local count = 0
for place = 1, #ARGV do
  count = count + redis.call('ZREM', KEYS[1], ARGV[place])
  redis.call('HDEL', KEYS[2], ARGV[place])
  redis.call('ZREM', KEYS[3], ARGV[place])
end
return count
