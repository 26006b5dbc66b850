#!lua flags=allow-oom
-- Ends a probe: all answered close the breaker, one that failed opens it; one that was given to another says nothing.
-- KEYS: 1 the breaker HASH, 2 its window HASH, 3 its probes ZSET
-- ARGV: 1 now ms or '', 2 token, 3 answered | failed | neither, 4 probes, 5 open for ms
-- Reply: state, generation, until ms, now ms, 0
-- Cost: O(log probes)
--include now
--include breaker
local now_ms = clock(ARGV[1])
local breaker = breaker_at(KEYS[1])
if redis.call('ZREM', KEYS[3], ARGV[2]) == 1 and ARGV[3] ~= 'neither' then
  redis.call('HINCRBY', KEYS[1], ARGV[3] .. '_total', 1)
  if ARGV[3] == 'failed' then
    turn(breaker, 1, now_ms + ARGV[5], now_ms, KEYS[2], KEYS[3])
  else
    breaker.answered = redis.call('HINCRBY', KEYS[1], 'answered', 1)
    if breaker.answered >= tonumber(ARGV[4]) then
      turn(breaker, 0, 0, now_ms, KEYS[2], KEYS[3])
    end
  end
end
return told(breaker, now_ms, 0)
