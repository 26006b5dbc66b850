#!lua flags=allow-oom
-- Moves a batch of what a consumer holds whose lease has ended to the ready lists, uncounted.
-- KEYS: 1 consumers ZSET, 2 consumers:info HASH, 3 wake LIST, 4 inflight:<consumer> HASH, 5 started:<consumer> HASH,
--   6 claimed:<consumer> HASH, 7.. ready LIST of each priority step
-- ARGV: 1 now ms or '', 2 consumer, 3 messages at most, 4.. priority steps
-- Reply: {moved, remaining}; {0, 0} if it is alive
-- Cost: O(in flight log in flight)
--include record
--include now
--include wake
--include lists
--include youngest
local lease_end_ms = redis.call('ZSCORE', KEYS[1], ARGV[2])
if not lease_end_ms or tonumber(lease_end_ms) > clock(ARGV[1]) then
  return { 0, 0 }
end
redis.call('ZADD', KEYS[1], 0, ARGV[2])
local ready, tokens = ready_lists(7, 4, #ARGV - 3), redis.call('HKEYS', KEYS[4])
local moved = youngest(tokens, tonumber(ARGV[3]))
for _, token in ipairs(moved) do
  local priority, _, payload = split_record(redis.call('HGET', KEYS[4], token))
  redis.call('RPUSH', ready[priority], payload)
  redis.call('HDEL', KEYS[4], token)
  redis.call('HDEL', KEYS[5], token)
end
if #moved == #tokens then
  redis.call('ZREM', KEYS[1], ARGV[2])
  redis.call('HDEL', KEYS[2], ARGV[2])
  redis.call('DEL', KEYS[5], KEYS[6])
end
wake(KEYS[3])
return { #moved, #tokens - #moved }
