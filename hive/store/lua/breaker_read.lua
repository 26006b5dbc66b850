#!lua flags=allow-oom
-- Returns all that is known of a breaker; changes nothing.
-- KEYS: 1 the breaker HASH, 2 its window HASH, 3 its probes ZSET
-- ARGV: 1 now ms or ''
-- Reply: nothing if it is not known, else state, generation, until ms, now ms, 0, calls and failures in its window, probes
--   out, probes answered, and totals: answered, failed, refused, opened, probes, lost probes
-- Cost: O(1)
--include now
--include breaker
--include breaker_window
if redis.call('EXISTS', KEYS[1]) == 0 then
  return {}
end
local now_ms = clock(ARGV[1])
local breaker = breaker_at(KEYS[1])
local calls, failed = count_calls(KEYS[2], now_ms, tonumber(redis.call('HGET', KEYS[1], 'part_ms')) or 1, 0, 0)
local totals = redis.call('HMGET', KEYS[1], 'answered_total', 'failed_total', 'refused_total', 'opened', 'probes', 'lost_probes')
local reply = told(breaker, now_ms, 0)
local out = redis.call('ZCOUNT', KEYS[3], now_ms, '+inf')
for _, number in ipairs({ calls, failed, out, breaker.answered }) do
  reply[#reply + 1] = number
end
for place = 1, 6 do
  reply[#reply + 1] = tonumber(totals[place]) or 0
end
return reply
