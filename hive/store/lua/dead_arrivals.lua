#!lua flags=allow-oom
-- Hands out arrivals of dead letters that nobody has said to have told of, each to one at a time, for a term; and says how
-- much of the bounds is used. One that is no dead letter any more is forgotten.
-- KEYS: 1 counters HASH, 2 dead ZSET, 3 dead:records HASH, 4 dead:untold ZSET
-- ARGV: 1 now ms or '', 2 arrivals at most, 3 term ms
-- Reply: {letters, bytes, when the oldest was set aside ms or -1, now ms, then for each arrival: id, record}
-- Cost: O(arrivals log untold)
--include now
local now_ms = clock(ARGV[1])
local oldest = redis.call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')[2]
local bytes = tonumber(redis.call('HGET', KEYS[1], 'dead_bytes') or 0)
local reply = { redis.call('ZCARD', KEYS[2]), bytes, tonumber(oldest) or -1, now_ms }
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[4], '-inf', now_ms, 'LIMIT', 0, ARGV[2])) do
  local record = redis.call('HGET', KEYS[3], id)
  if record then
    redis.call('ZADD', KEYS[4], now_ms + ARGV[3], id)
    reply[#reply + 1] = id
    reply[#reply + 1] = record
  else
    redis.call('ZREM', KEYS[4], id)
  end
end
return reply
