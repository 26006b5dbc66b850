#!lua flags=allow-oom
-- Lets keys end some time from now; those that do not exist stay so.
-- KEYS: 1.. any
-- ARGV: 1 time to live ms
-- Reply: how many exist
-- Cost: O(keys)
local count = 0
for place = 1, #KEYS do
  count = count + redis.call('PEXPIRE', KEYS[place], ARGV[1])
end
return count
