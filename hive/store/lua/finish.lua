#!lua flags=allow-oom
-- Ends deliveries that are current: the messages are done. What beside them was theirs goes with them.
-- KEYS: for each queue: consumers ZSET, counters HASH, deaths HASH, inflight:<consumer> HASH, started:<consumer> HASH
-- ARGV: 1 consumer, then for each delivery: place of its queue from 1, token
-- Reply: for each delivery 1 finished, 0 ended before, -1 stale
-- Cost: O(deliveries)
--include standing
local reply = {}
for place = 2, #ARGV, 2 do
  local first = (ARGV[place] - 1) * 5 + 1
  local token = ARGV[place + 1]
  local code = standing(KEYS[first], KEYS[first + 1], KEYS[first + 3], ARGV[1], token)
  if code == 1 then
    forget(KEYS[first + 3], KEYS[first + 4], KEYS[first + 2], token)
  end
  reply[#reply + 1] = code
end
return reply
