#!lua flags=allow-oom
-- Hands deliveries of one queue back, uncounted; they will be claimed next, or after all others that are ready now. What
-- had started and goes to the end was put back by its task: it is noted that its next delivery is not the first.
-- KEYS: 1 consumers ZSET, 2 counters HASH, 3 wake LIST, 4 suspects LIST, 5 inflight:<consumer> HASH,
--   6 started:<consumer> HASH, 7 deaths HASH, 8 deaths:expiry ZSET, 9.. ready LIST of each priority step
-- ARGV: 1 now ms or '', 2 consumer, 3 to the end of the list 1|0, 4 how long the note is kept ms, 5 number of priority
--   steps, 6.. the steps, then tokens: youngest first, or oldest first for the end of the list
-- Reply: for each delivery 1 handed back, 0 ended before, -1 stale
-- Cost: O(deliveries)
--include record
--include now
--include standing
--include wake
--include lists
--include put_back
--include expire
local function note(token)
  local id = redis.call('HGET', KEYS[6], token)
  if id then
    local known = redis.call('HGET', KEYS[7], id)
    local record = known and cjson.decode(known) or { count = 0, history = {} }
    record.put_back = true
    redis.call('HSET', KEYS[7], id, cjson.encode(record))
    local now_ms = clock(ARGV[1])
    redis.call('ZADD', KEYS[8], now_ms + ARGV[4], id)
    expire(KEYS[7], KEYS[8], now_ms)
    keep_beside(KEYS[7], KEYS[8], tonumber(ARGV[4]))
  end
end
local steps, to_end = tonumber(ARGV[5]), ARGV[3] == '1'
local ready = ready_lists(9, 6, steps)
local reply = {}
for place = 6 + steps, #ARGV do
  local code = standing(KEYS[1], KEYS[2], KEYS[5], ARGV[2], ARGV[place])
  if code == 1 then
    if to_end then
      note(ARGV[place])
    end
    put_back(redis.call('HGET', KEYS[5], ARGV[place]), ready, KEYS[4], to_end)
    forget(KEYS[5], KEYS[6], nil, ARGV[place])
    wake(KEYS[3])
  end
  reply[#reply + 1] = code
end
return reply
