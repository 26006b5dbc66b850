#!lua flags=allow-oom
-- Reads the lanes of a queue, those that reported last first, at most 1000.
-- KEYS: 1 consumers ZSET, 2 lanes ZSET, 3 loads HASH
-- ARGV: 1 now ms or ''
-- Reply: for each lane {worker, 1 its worker's lease goes on | 0, ms since it reported, messages that waited then, load}
-- Cost: O(lanes log consumers)
--include now
--include lane
local now_ms, reply = clock(ARGV[1]), {}
local found = redis.call('ZREVRANGE', KEYS[2], 0, 999, 'WITHSCORES')
for place = 1, #found, 2 do
  local record = redis.call('HGET', KEYS[3], found[place])
  local waiting, load = string.match(record or '', '^%S+ (%d+) (.*)$')
  local age_ms = math.max(now_ms - found[place + 1], 0)
  reply[#reply + 1] = { found[place], lane_lives(KEYS[1], record, now_ms) and 1 or 0, age_ms, waiting or 0, load or '' }
end
return reply
