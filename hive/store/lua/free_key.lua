#!lua flags=allow-oom
-- Takes a key back from a task that will never run, if that task holds it.
-- KEYS: 1 unique HASH, 2 unique:expiry ZSET, 3 deaths HASH
-- ARGV: 1 key, 2 task id
-- Reply: 1 taken back, 0 it holds nothing
-- Cost: O(log keys)
local known = redis.call('HGET', KEYS[1], ARGV[1])
local record = known and cjson.decode(known)
if not record or record.task_id ~= ARGV[2] then
  return 0
end
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('ZREM', KEYS[2], ARGV[1])
if record.message_id then
  redis.call('HDEL', KEYS[3], record.message_id)
end
return 1
