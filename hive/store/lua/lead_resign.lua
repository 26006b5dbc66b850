#!lua flags=allow-oom
-- Gives the lead up if the holder has it: the next who asks has it at once. A repeat finds nothing.
-- KEYS: 1 leader HASH
-- ARGV: 1 holder
-- Reply: 1 it led | 0 it did not
-- Cost: O(1)
if redis.call('HGET', KEYS[1], 'holder') ~= ARGV[1] then
  return 0
end
redis.call('HDEL', KEYS[1], 'holder', 'until_ms')
return 1
