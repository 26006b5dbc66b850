#!lua flags=allow-oom
-- Counts the calls of one process since its last report, renews its probes, and opens a breaker that failed too often.
-- KEYS: 1 the breaker HASH, 2 its window HASH, 3 its probes ZSET, 4 names SET
-- ARGV: 1 now ms or '', 2 name, 3 generation or 0, 4 answered, 5 failed, 6 refused, 7 length of a part of the window ms,
--   8 least calls, 9 rate, 10 count or 0, 11 open for ms, 12 lease of a probe ms, then its probes
-- Reply: state, generation, until ms, now ms, 0
-- Cost: O(probes)
--include now
--include breaker
--include breaker_window
local now_ms = clock(ARGV[1])
local breaker = breaker_at(KEYS[1])
local answered, failed = tonumber(ARGV[4]), tonumber(ARGV[5])
redis.call('SADD', KEYS[4], ARGV[2])
redis.call('HSET', KEYS[1], 'part_ms', ARGV[7], 'generation', breaker.generation)
for place, total in ipairs({ 'answered_total', 'failed_total', 'refused_total' }) do
  if ARGV[3 + place] ~= '0' then
    redis.call('HINCRBY', KEYS[1], total, ARGV[3 + place])
  end
end
for place = 13, #ARGV do
  if redis.call('ZSCORE', KEYS[3], ARGV[place]) then
    redis.call('ZADD', KEYS[3], now_ms + ARGV[12], ARGV[place])
  end
end
local known = ARGV[3] == '0' or tonumber(ARGV[3]) == breaker.generation
if breaker.state == 0 and known and answered + failed > 0 then
  local calls, bad = count_calls(KEYS[2], now_ms, tonumber(ARGV[7]), answered + failed, failed)
  local by_count = tonumber(ARGV[10]) > 0 and bad >= tonumber(ARGV[10])
  local by_rate = calls >= tonumber(ARGV[8]) and bad >= tonumber(ARGV[9]) * calls
  if failed > 0 and (by_count or by_rate) then
    turn(breaker, 1, now_ms + ARGV[11], now_ms, KEYS[2], KEYS[3])
  end
end
keep(KEYS[1], KEYS[2], KEYS[3])
return told(breaker, now_ms, 0)
