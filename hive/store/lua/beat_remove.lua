#!lua flags=allow-oom
-- Forgets entries of beat and when they were sent. A repeat finds nothing.
-- KEYS: 1 leader HASH, 2 entries HASH, 3 fired HASH, 4 runs HASH, 5 paused HASH, 6 revision STRING
-- ARGV: 1 term, or '' from an operator, 2.. <name>
-- Reply: how many there were; -1 the term has ended
-- Cost: O(entries)
--include leader
if ARGV[1] ~= '' and not is_leading(KEYS[1], ARGV[1]) then
  return -1
end
for place = 3, 5 do
  redis.call('HDEL', KEYS[place], unpack(ARGV, 2))
end
redis.call('INCR', KEYS[6])
return redis.call('HDEL', KEYS[2], unpack(ARGV, 2))
