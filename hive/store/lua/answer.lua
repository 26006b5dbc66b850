#!lua flags=allow-oom
-- Returns the last good answer of a call and its age; changes nothing.
-- KEYS: 1 the answer HASH
-- ARGV: 1 now ms or ''
-- Reply: the answer and its age ms; nothing if there is none
-- Cost: O(1)
--include now
local now_ms = clock(ARGV[1])
local kept = redis.call('HMGET', KEYS[1], 'answer', 'at_ms')
if not kept[1] then
  return {}
end
return { kept[1], math.max(now_ms - kept[2], 0) }
