#!lua flags=allow-oom
-- Says who leads.
-- KEYS: 1 leader HASH
-- ARGV: 1 now ms or ''
-- Reply: {term, ms left of it, holder, now ms}, or {} if nobody leads
-- Cost: O(1)
--include now
local now_ms = clock(ARGV[1])
local holder, term, until_ms, hold_ms = unpack(redis.call('HMGET', KEYS[1], 'holder', 'term', 'until_ms', 'hold_ms'))
local left_ms = math.min((tonumber(until_ms) or 0) - now_ms, tonumber(hold_ms) or 0)
if not holder or left_ms <= 0 then
  return {}
end
return { tonumber(term), left_ms, holder, now_ms }
