#!lua flags=allow-oom
-- Gives a probe of a breaker whose open time is over, never more than are set; the same one again for a repeat.
-- KEYS: 1 the breaker HASH, 2 its window HASH, 3 its probes ZSET
-- ARGV: 1 now ms or '', 2 token, 3 lease ms, 4 probes
-- Reply: state, generation, until ms, now ms, 1 given | 0 not
-- Cost: O(probes)
--include now
--include breaker
local now_ms = clock(ARGV[1])
local breaker, granted = breaker_at(KEYS[1]), 0
if breaker.state == 1 and breaker.until_ms >= 0 and breaker.until_ms <= now_ms then
  turn(breaker, 2, 0, now_ms, KEYS[2], KEYS[3])
end
if breaker.state == 2 then
  local lost = redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', now_ms)
  if lost > 0 then
    redis.call('HINCRBY', KEYS[1], 'lost_probes', lost)
  end
  local again = redis.call('ZSCORE', KEYS[3], ARGV[2])
  if again or redis.call('ZCARD', KEYS[3]) + breaker.answered < tonumber(ARGV[4]) then
    redis.call('ZADD', KEYS[3], now_ms + ARGV[3], ARGV[2])
    granted = 1
    if not again then
      redis.call('HINCRBY', KEYS[1], 'probes', 1)
    end
  end
end
keep(KEYS[1], KEYS[3])
return told(breaker, now_ms, granted)
