#!lua flags=allow-oom
-- Lets messages of one queue go on that waited for their agent. Safe to repeat.
-- KEYS: 1 waiting HASH, 2 scheduled ZSET, 3 parked ZSET, 4 wake LIST
-- ARGV: 1 now ms or '', 2.. message ids
-- Reply: how many were parked
-- Cost: O(ids log scheduled)
--include now
--include wake
--include run
local now_ms, count = clock(ARGV[1]), 0
for place = 2, #ARGV do
  redis.call('HDEL', KEYS[1], ARGV[place])
  if unpark(KEYS[2], KEYS[3], KEYS[4], ARGV[place], now_ms) then
    count = count + 1
  end
end
return count
