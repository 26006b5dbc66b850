#!lua
-- Puts messages of one queue into its scheduled set; repeats are dropped, the same message id replaces the old one. One
-- that is due before an idle consumer would look by itself wakes one, so that it knows how long to wait.
-- KEYS: 1 published:0 SET, 2 published:1 SET, 3 counters HASH, 4 scheduled ZSET, 5 scheduled:messages HASH, 6 wake LIST
-- ARGV: 1 now ms or '', 2 dedup window ms, then for each message: id, due ms, dedup digest or '', `<priority>:<envelope>`
-- Reply: for each message 1 taken, 0 repeat
-- Cost: O(messages log scheduled)
--include now
--include dedup
--include wake
local SOON_MS = 5000
local now_ms = clock(ARGV[1])
local reply, repeats = {}, 0
for place = 3, #ARGV, 4 do
  local id, digest = ARGV[place], ARGV[place + 2]
  if digest ~= '' and taken_before(digest, now_ms, tonumber(ARGV[2]), KEYS[1], KEYS[2]) then
    repeats = repeats + 1
    reply[#reply + 1] = 0
  else
    redis.call('ZADD', KEYS[4], ARGV[place + 1], id)
    redis.call('HSET', KEYS[5], id, ARGV[place + 3])
    reply[#reply + 1] = 1
    if tonumber(ARGV[place + 1]) < now_ms + SOON_MS then
      wake(KEYS[6])
    end
  end
end
if repeats > 0 then
  redis.call('HINCRBY', KEYS[3], 'deduplicated', repeats)
end
return reply
