#!lua flags=allow-oom
-- Removes a consumer that holds nothing.
-- KEYS: 1 consumers ZSET, 2 consumers:info HASH, 3 inflight:<consumer> HASH, 4 started:<consumer> HASH,
--   5 claimed:<consumer> HASH
-- ARGV: 1 consumer
-- Reply: messages it still holds; if not 0 nothing was changed
-- Cost: O(log consumers)
local held = redis.call('HLEN', KEYS[3])
if held == 0 then
  redis.call('ZREM', KEYS[1], ARGV[1])
  redis.call('HDEL', KEYS[2], ARGV[1])
  redis.call('DEL', KEYS[4], KEYS[5])
end
return held
