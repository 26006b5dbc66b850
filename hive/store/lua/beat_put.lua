#!lua flags=allow-oom
-- Puts entries of beat, each in place of the one of its name; a new one is due from now on. A repeat puts the same.
-- KEYS: 1 leader HASH, 2 entries HASH, 3 fired HASH, 4 revision STRING
-- ARGV: 1 now ms or '', 2 term, or '' from an operator, then for each entry: name, definition
-- Reply: 1 put | 0 the term has ended
-- Cost: O(entries)
--include now
--include leader
local now_ms = clock(ARGV[1])
if ARGV[2] ~= '' and not is_leading(KEYS[1], ARGV[2]) then
  return 0
end
for place = 3, #ARGV, 2 do
  redis.call('HSET', KEYS[2], ARGV[place], ARGV[place + 1])
  redis.call('HSETNX', KEYS[3], ARGV[place], now_ms)
end
redis.call('INCR', KEYS[4])
return 1
