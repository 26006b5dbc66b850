#!lua flags=allow-oom
-- Moves a message from stock Celery's unacknowledged records to ready lists, if its record is still the one read.
-- KEYS: 1 unacked HASH, 2 unacked_index ZSET, then for each queue it goes to a ready LIST, then for each its wake LIST
-- ARGV: 1 delivery tag, 2 the record read, 3 envelope, 4 number of queues
-- Reply: 1 moved, 0 it was restored or acknowledged meanwhile
-- Cost: O(queues)
--include wake
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then
  return 0
end
for place = 3, 2 + ARGV[4] do
  redis.call('RPUSH', KEYS[place], ARGV[3])
  wake(KEYS[place + ARGV[4]])
end
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('ZREM', KEYS[2], ARGV[1])
return 1
