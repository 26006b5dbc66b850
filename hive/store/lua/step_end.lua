#!lua flags=allow-oom
-- Keeps the result of a step that a delivery began, or forgets that it began: it failed. A repeat changes nothing.
-- KEYS: 1 consumers ZSET, 2 counters HASH, 3 inflight:<consumer> HASH, 4 run HASH
-- ARGV: 1 now ms or '', 2 consumer, 3 token, 4 field, 5 how long the run is kept ms, 6 done 1|0, 7 result
-- Reply: 1 kept or forgotten, 0 ended before, -1 stale
-- Cost: O(1)
--include now
--include standing
--include wake
--include run
local code = standing(KEYS[1], KEYS[2], KEYS[3], ARGV[2], ARGV[3])
if code ~= 1 then
  return code
end
local token, times = string.match(redis.call('HGET', KEYS[4], ARGV[4]) or '', '^%?(%d+):(%d+)$')
if token == ARGV[3] then
  if ARGV[6] == '1' then
    redis.call('HSET', KEYS[4], ARGV[4], '+' .. times .. ':' .. ARGV[7])
  else
    redis.call('HDEL', KEYS[4], ARGV[4])
  end
  keep_run(KEYS[4], clock(ARGV[1]), tonumber(ARGV[5]))
end
return 1
