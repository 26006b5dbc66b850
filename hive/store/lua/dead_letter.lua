#!lua flags=allow-oom
-- Sets deliveries of one queue aside as dead letters, each with its reason; the delivery itself ends its history.
-- KEYS: 1 consumers ZSET, 2 counters HASH, 3 deaths HASH, 4 dead ZSET, 5 dead:records HASH, 6 dead:messages HASH,
--   7 inflight:<consumer> HASH, 8 started:<consumer> HASH, 9 consumers:info HASH, 10 dead:untold ZSET
-- ARGV: 1 now ms or '', 2 consumer, 3 queue name, then for each delivery: token, message id or '', reason, cause,
--   traceback or ''
-- Reply: for each delivery 1 set aside, 0 ended before, -1 stale
-- Cost: O(deliveries log dead)
--include record
--include now
--include standing
--include worker
--include set_aside
local reply, is_ours = {}, registered(KEYS[1], ARGV[2])
local round = setting_aside({
  counters = KEYS[2], deaths = KEYS[3], dead = KEYS[4], records = KEYS[5], messages = KEYS[6], inflight = KEYS[7],
  started = KEYS[8], info = KEYS[9], untold = KEYS[10],
}, ARGV[2], ARGV[3], clock(ARGV[1]))
for place = 4, #ARGV, 5 do
  if is_ours then
    reply[#reply + 1] = set_aside(round, ARGV[place], ARGV[place + 1], ARGV[place + 2], ARGV[place + 3], ARGV[place + 4])
  else
    redis.call('HINCRBY', KEYS[2], 'refused', 1)
    reply[#reply + 1] = -1
  end
end
write_letters(round)
return reply
