#!lua flags=allow-oom
-- Removes dead letters that have been archived, or that an operator gives up; one that is gone is passed over.
-- KEYS: 1 counters HASH, 2 dead ZSET, 3 dead:records HASH, 4 dead:messages HASH
-- ARGV: 1 counter to add them to, 2.. ids
-- Reply: letters removed
-- Cost: O(ids log dead)
--include unbury
local keys, removed = { counters = KEYS[1], dead = KEYS[2], records = KEYS[3], messages = KEYS[4] }, 0
for place = 2, #ARGV do
  if unbury(keys, ARGV[place]) then
    removed = removed + 1
  end
end
if removed > 0 then
  redis.call('HINCRBY', KEYS[1], ARGV[1], removed)
end
return removed
