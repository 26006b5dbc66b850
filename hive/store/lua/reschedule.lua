#!lua flags=allow-oom
-- Moves deliveries of a queue, unchanged and uncounted, to the scheduled set.
-- KEYS: 1 consumers ZSET, 2 counters HASH, 3 inflight:<consumer> HASH, 4 started:<consumer> HASH, 5 scheduled ZSET,
--   6 scheduled:messages HASH
-- ARGV: 1 consumer, then for each delivery: token, message id, due ms, `;<key>;<weight>` or ''
-- Reply: for each delivery 1 moved, 0 ended before, -1 stale
-- Cost: O(deliveries log scheduled)
--include record
--include standing
local reply = {}
for place = 2, #ARGV, 4 do
  local token, id = ARGV[place], ARGV[place + 1]
  local code = standing(KEYS[1], KEYS[2], KEYS[3], ARGV[1], token)
  if code == 1 then
    local priority, mark, payload = split_record(redis.call('HGET', KEYS[3], token))
    redis.call('ZADD', KEYS[5], ARGV[place + 2], id)
    redis.call('HSET', KEYS[6], id, priority .. mark .. (mark == '' and ARGV[place + 3] or '') .. ':' .. payload)
    forget(KEYS[3], KEYS[4], nil, token)
  end
  reply[#reply + 1] = code
end
return reply
