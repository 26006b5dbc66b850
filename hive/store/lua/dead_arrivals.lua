#!lua flags=allow-oom
-- Hands out arrivals of dead letters nobody has been told of, each once, and says how much of the bounds is used.
-- KEYS: 1 counters HASH, 2 dead ZSET, 3 dead:records HASH, 4 dead:arrivals LIST
-- ARGV: 1 now ms or '', 2 arrivals at most
-- Reply: {letters, bytes, when the oldest was set aside ms or -1, now ms, then for each arrival: id, record}
-- Cost: O(arrivals)
--include now
local oldest = redis.call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')[2]
local bytes = tonumber(redis.call('HGET', KEYS[1], 'dead_bytes') or 0)
local reply = { redis.call('ZCARD', KEYS[2]), bytes, tonumber(oldest) or -1, (clock(ARGV[1])) }
for _, id in ipairs(redis.call('RPOP', KEYS[4], ARGV[2]) or {}) do
  local record = redis.call('HGET', KEYS[3], id)
  if record then
    reply[#reply + 1] = id
    reply[#reply + 1] = record
  end
end
return reply
