#!lua flags=allow-oom
-- Hands back, uncounted, what is in flight for a consumer from claims up to a sequence number and it does not hold.
-- KEYS: 1 consumers ZSET, 2 wake LIST, 3 suspects LIST, 4 inflight:<consumer> HASH, 5 started:<consumer> HASH,
--   6.. ready LIST of each priority step
-- ARGV: 1 consumer, 2 sequence, 3 messages to hand back at most, 4 number of priority steps, 5.. the steps, then held tokens
-- Reply: number handed back
-- Cost: O(in flight log in flight)
--include record
--include standing
--include wake
--include lists
--include put_back
--include youngest
if not registered(KEYS[1], ARGV[1]) then
  return 0
end
local steps = tonumber(ARGV[4])
local ready, held, lost = ready_lists(6, 5, steps), {}, {}
for place = 5 + steps, #ARGV do
  held[ARGV[place]] = true
end
for _, token in ipairs(redis.call('HKEYS', KEYS[4])) do
  if not held[token] then
    lost[#lost + 1] = token
  end
end
local count = 0
for _, token in ipairs(youngest(lost, #lost)) do
  local record = redis.call('HGET', KEYS[4], token)
  if count < tonumber(ARGV[3]) and tonumber(string.match(record, '^%d+!?:(%d+):')) <= tonumber(ARGV[2]) then
    put_back(record, ready, KEYS[3])
    forget(KEYS[4], KEYS[5], nil, token)
    count = count + 1
  end
end
if count > 0 then
  wake(KEYS[2])
end
return count
