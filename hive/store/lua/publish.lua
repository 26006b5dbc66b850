#!lua
-- Puts messages into the ready lists of one queue, oldest first, and wakes one consumer; repeats are dropped.
-- KEYS: 1 published:0 SET, 2 published:1 SET, 3 counters HASH, 4 wake LIST, 5.. ready LIST of each priority step
-- ARGV: 1 now ms or '', 2 dedup window ms, 3 place of its step from 1, 4 dedup digest or '', 5 envelope, and so on for each
-- Reply: for each message 1 taken, 0 repeat
-- Cost: O(messages)
--include now
--include wake
--include dedup
--include dedup_many
local now_ms, window_ms = clock(ARGV[1]), tonumber(ARGV[2])
if #ARGV == 5 and (ARGV[4] == '' or not taken_before(ARGV[4], now_ms, window_ms, KEYS[1], KEYS[2])) then
  -- One message, as most are, without the tables that many need.
  redis.call('LPUSH', KEYS[4 + ARGV[3]], ARGV[5])
  wake(KEYS[4])
  return { 1 }
end
local digests = {}
for place = 4, #ARGV, 3 do
  digests[#digests + 1] = ARGV[place]
end
local repeats = repeats_among(digests, now_ms, window_ms, KEYS[1], KEYS[2])
local reply, lists, repeat_count = {}, {}, 0
for number = 1, #digests do
  local place = 3 * number
  if repeats[number] then
    repeat_count = repeat_count + 1
    reply[number] = 0
  else
    local list = lists[ARGV[place]] or {}
    lists[ARGV[place]] = list
    list[#list + 1] = ARGV[place + 2]
    reply[number] = 1
  end
end
for step, payloads in pairs(lists) do
  redis.call('LPUSH', KEYS[4 + step], unpack(payloads))
end
if repeat_count > 0 then
  redis.call('HINCRBY', KEYS[3], 'deduplicated', repeat_count)
end
if repeat_count < #digests then
  wake(KEYS[4])
end
return reply
