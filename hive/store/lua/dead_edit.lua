#!lua flags=allow-oom
-- Replaces the bytes of a dead letter, if they are still those that were read.
-- KEYS: 1 counters HASH, 2 dead:records HASH, 3 dead:messages HASH
-- ARGV: 1 now ms or '', 2 id, 3 SHA-1 of `<priority>:<envelope>` as it was read, 4 new `<priority>:<envelope>`
-- Reply: 1 replaced, 0 it is gone or another's edit came first
-- Cost: O(bytes)
--include now
local record, message = redis.call('HGET', KEYS[2], ARGV[2]), redis.call('HGET', KEYS[3], ARGV[2])
if not record or not message or redis.sha1hex(message) ~= ARGV[3] then
  return 0
end
record = cjson.decode(record)
record.edited_at_ms = clock(ARGV[1])
redis.call('HSET', KEYS[2], ARGV[2], cjson.encode(record))
redis.call('HSET', KEYS[3], ARGV[2], ARGV[4])
redis.call('HINCRBY', KEYS[1], 'dead_bytes', #ARGV[4] - #message)
return 1
