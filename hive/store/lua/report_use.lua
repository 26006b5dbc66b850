#!lua flags=allow-oom
-- Keeps what a worker's pool children use, and what tasks used that have ended, the last 256 of each agent type.
-- KEYS: 1 workers ZSET, 2 record STRING, then for each task: its agent type's LIST
-- ARGV: 1 now ms or '', 2 worker, 3 kept ms, 4 record, 5 history kept ms, then for each task: what it used
-- Reply: nothing
-- Cost: O(tasks + log workers)
--include now
local now_ms = clock(ARGV[1])
redis.call('ZADD', KEYS[1], now_ms, ARGV[2])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now_ms - ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
redis.call('SET', KEYS[2], ARGV[4], 'PX', ARGV[3])
for place = 3, #KEYS do
  redis.call('LPUSH', KEYS[place], ARGV[place + 3])
  redis.call('LTRIM', KEYS[place], 0, 255)
  redis.call('PEXPIRE', KEYS[place], ARGV[5])
end
