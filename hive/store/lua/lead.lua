#!lua flags=allow-oom
-- Gives the lead to who asks if nobody else has it, or extends it by one hold from now. A new leader has a new term, greater
-- than all before; so has the old one on a server with another run id. A repeat by the leader extends it again.
-- KEYS: 1 leader HASH
-- ARGV: 1 now ms or '', 2 run id or '', 3 holder, 4 hold ms
-- Reply: {1 leads | 0 another does, its term, ms left of it, its holder, now ms}
-- Cost: O(1)
--include now
--include epoch
local now_ms, now_us = clock(ARGV[1])
local fence, epoch = enter_epoch(KEYS[1], server_run_id(ARGV[2]), now_us)
local holder, term, until_ms, hold_ms, of_epoch =
  unpack(redis.call('HMGET', KEYS[1], 'holder', 'term', 'until_ms', 'hold_ms', 'term_epoch'))
-- No lead lasts longer than one hold from now: more is left only if the clock was set back.
local left_ms = math.min((tonumber(until_ms) or 0) - now_ms, tonumber(hold_ms) or 0)
if holder and holder ~= ARGV[3] and left_ms > 0 then
  redis.call('HSET', KEYS[1], 'until_ms', now_ms + left_ms)
  return { 0, tonumber(term), left_ms, holder, now_ms }
end
if holder ~= ARGV[3] or of_epoch ~= tostring(epoch) then
  term = string.format('%.0f', math.max(fence + 1, now_us))
  redis.call('HSET', KEYS[1], 'holder', ARGV[3], 'term', term, 'fence', term, 'term_epoch', epoch)
end
redis.call('HSET', KEYS[1], 'until_ms', now_ms + ARGV[4], 'hold_ms', ARGV[4])
return { 1, tonumber(term), tonumber(ARGV[4]), ARGV[3], now_ms }
