#!lua flags=allow-oom
-- Gives scheduled messages of one queue another time, and wakes a consumer for them. One that is not scheduled any more is
-- left alone; so a repeat is harmless.
-- KEYS: 1 scheduled ZSET, 2 wake LIST
-- ARGV: for each message: due ms, id
-- Reply: how many were there
-- Cost: O(messages log scheduled)
--include wake
local moved = redis.call('ZADD', KEYS[1], 'XX', 'CH', unpack(ARGV))
if moved > 0 then
  wake(KEYS[2])
end
return moved
