#!lua flags=allow-oom
-- Gives back what holders have booked of a host. A repeat finds nothing.
-- KEYS: 1 held HASH, 2 leases ZSET, 3 totals HASH
-- ARGV: 1.. <holder>
-- Reply: how many held something
-- Cost: O(holders log leases)
--include give_back
local count = 0
for _, who in ipairs(ARGV) do
  if give_back(who) then
    count = count + 1
  end
end
return count
