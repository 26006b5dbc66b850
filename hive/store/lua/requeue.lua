#!lua flags=allow-oom
-- Hands deliveries of one queue back, uncounted; they will be claimed next, or after all others that are ready now.
-- KEYS: 1 consumers ZSET, 2 counters HASH, 3 wake LIST, 4 suspects LIST, 5 inflight:<consumer> HASH,
--   6 started:<consumer> HASH, 7.. ready LIST of each priority step
-- ARGV: 1 consumer, 2 to the end of the list 1|0, 3 number of priority steps, 4.. the steps, then tokens: youngest
--   first, or oldest first for the end of the list
-- Reply: for each delivery 1 handed back, 0 ended before, -1 stale
-- Cost: O(deliveries)
--include record
--include standing
--include wake
--include lists
--include put_back
local steps = tonumber(ARGV[3])
local ready = ready_lists(7, 4, steps)
local reply = {}
for place = 4 + steps, #ARGV do
  local code = standing(KEYS[1], KEYS[2], KEYS[5], ARGV[1], ARGV[place])
  if code == 1 then
    put_back(redis.call('HGET', KEYS[5], ARGV[place]), ready, KEYS[4], ARGV[2] == '1')
    forget(KEYS[5], KEYS[6], nil, ARGV[place])
    wake(KEYS[3])
  end
  reply[#reply + 1] = code
end
return reply
