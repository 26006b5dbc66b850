#!lua flags=allow-oom
-- Lets what waits in queues end some time from now; what is held outlasts it, because leases end that.
-- KEYS: for each queue: any that end with it, then those of its consumers
-- ARGV: 1 keys of each queue, 2 how many of them end with it, 3 how long the others are kept beyond ms, 4.. time to live of
--   each queue ms
-- Reply: how many keys exist
-- Cost: O(keys)
local size, ending, count = tonumber(ARGV[1]), tonumber(ARGV[2]), 0
for place = 1, #KEYS do
  local ttl_ms = tonumber(ARGV[4 + math.floor((place - 1) / size)])
  if (place - 1) % size >= ending then
    ttl_ms = ttl_ms + ARGV[3]
  end
  count = count + redis.call('PEXPIRE', KEYS[place], ttl_ms)
end
return count
