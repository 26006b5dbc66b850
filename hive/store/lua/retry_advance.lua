#!lua flags=allow-oom
-- Gives scheduled messages of one queue another time, and wakes a consumer for them. One that is not scheduled is left
-- alone; so a repeat is harmless.
-- KEYS: 1 scheduled ZSET, 2 wake LIST
-- ARGV: for each message: due ms, id
-- Reply: for each message 1 moved, 0 not scheduled
-- Cost: O(messages log scheduled)
--include wake
local reply, moved = {}, 0
for place = 1, #ARGV, 2 do
  local is_there = redis.call('ZSCORE', KEYS[1], ARGV[place + 1]) and 1 or 0
  if is_there == 1 then
    redis.call('ZADD', KEYS[1], 'XX', ARGV[place], ARGV[place + 1])
  end
  reply[#reply + 1] = is_there
  moved = moved + is_there
end
if moved > 0 then
  wake(KEYS[2])
end
return reply
