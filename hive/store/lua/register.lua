#!lua flags=allow-oom
-- Registers a consumer on a queue with a lease that begins now, unless the data is in a newer format.
-- KEYS: 1 state HASH, 2 consumers ZSET, 3 consumers:info HASH
-- ARGV: 1 now ms or '', 2 run id or '', 3 consumer, 4 lease ms, 5 info JSON, 6 format to write, 7 newest format known
-- Reply: {1, epoch}; {0, 0} the consumer is being reaped; {-1, format} too new
-- Cost: O(log consumers)
--include now
--include epoch
local now_ms, now_us = clock(ARGV[1])
local format = tonumber(redis.call('HGET', KEYS[1], 'format') or 0)
if format > tonumber(ARGV[7]) then
  return { -1, format }
end
if redis.call('ZSCORE', KEYS[2], ARGV[3]) == '0' then
  return { 0, 0 }
end
if format < tonumber(ARGV[6]) then
  redis.call('HSET', KEYS[1], 'format', ARGV[6])
end
local _, epoch = enter_epoch(KEYS[1], server_run_id(ARGV[2]), now_us)
redis.call('ZADD', KEYS[2], now_ms + ARGV[4], ARGV[3])
redis.call('HSET', KEYS[3], ARGV[3], ARGV[5])
return { 1, epoch }
