#!lua flags=allow-oom
-- Opens or closes a breaker because an operator says so.
-- KEYS: 1 the breaker HASH, 2 its window HASH, 3 its probes ZSET, 4 names SET
-- ARGV: 1 now ms or '', 2 name, 3 state 0 closed | 1 open, 4 open for ms, or -1 until it is closed likewise
-- Reply: state, generation, until ms, now ms, 0
-- Cost: O(1)
--include now
--include breaker
local now_ms = clock(ARGV[1])
local breaker = breaker_at(KEYS[1])
local until_ms = ARGV[3] == '1' and (ARGV[4] == '-1' and -1 or now_ms + ARGV[4]) or 0
redis.call('SADD', KEYS[4], ARGV[2])
turn(breaker, tonumber(ARGV[3]), until_ms, now_ms, KEYS[2], KEYS[3])
keep(KEYS[1])
return told(breaker, now_ms, 0)
