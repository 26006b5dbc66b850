#!lua flags=allow-oom
-- Says what is known of a step, and notes that it begins if it never began, or if it is to begin again.
-- KEYS: 1 consumers ZSET, 2 counters HASH, 3 inflight:<consumer> HASH, 4 run HASH
-- ARGV: 1 now ms or '', 2 consumer, 3 token, 4 field, 5 how long the run is kept ms, 6 begin again 1|0
-- Reply: {1 begins, times it was unknown before} | {2 is done, `<times unknown>:<result>`}
--   | {3 unknown: an earlier delivery began it, times before}, {0 ended before}, {-1 stale}
-- Cost: O(1)
--include now
--include standing
--include wake
--include run
local code = standing(KEYS[1], KEYS[2], KEYS[3], ARGV[2], ARGV[3])
if code ~= 1 then
  return { code, '' }
end
local known = redis.call('HGET', KEYS[4], ARGV[4]) or ''
if string.sub(known, 1, 1) == '+' then
  return { 2, string.sub(known, 2) }
end
local token, times = string.match(known, '^%?(%d+):(%d+)$')
times = tonumber(times or 0)
if token and token ~= ARGV[3] then
  if ARGV[6] ~= '1' then
    return { 3, times }
  end
  times = times + 1
end
redis.call('HSET', KEYS[4], ARGV[4], '?' .. ARGV[3] .. ':' .. times)
keep_run(KEYS[4], clock(ARGV[1]), tonumber(ARGV[5]))
return { 1, times }
