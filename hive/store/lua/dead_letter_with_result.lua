#!lua flags=allow-oom
-- Sets a delivery aside as a dead letter, and writes and announces its task's failure, both or neither, if the delivery
-- is current: whoever reads the failure finds the letter.
-- KEYS: 1 consumers ZSET, 2 counters HASH, 3 deaths HASH, 4 dead ZSET, 5 dead:records HASH, 6 dead:messages HASH,
--   7 inflight:<consumer> HASH, 8 started:<consumer> HASH, 9 consumers:info HASH, 10 dead:untold ZSET, 11 the result STRING
-- ARGV: 1 now ms or '', 2 consumer, 3 queue name, 4 token, 5 message id or '', 6 reason, 7 cause, 8 traceback or '',
--   9 result, 10 its time to live ms or 0, 11 channel or ''
-- Reply: 1 done, 0 ended before, -1 stale
-- Cost: O(log dead)
--include record
--include now
--include standing
--include worker
--include set_aside
--include result
local code = standing(KEYS[1], KEYS[2], KEYS[7], ARGV[2], ARGV[4])
if code ~= 1 then
  return code
end
local round = setting_aside({
  counters = KEYS[2], deaths = KEYS[3], dead = KEYS[4], records = KEYS[5], messages = KEYS[6], inflight = KEYS[7],
  started = KEYS[8], info = KEYS[9], untold = KEYS[10],
}, ARGV[2], ARGV[3], clock(ARGV[1]))
set_aside(round, ARGV[4], ARGV[5], ARGV[6], ARGV[7], ARGV[8])
write_letters(round)
write_result(KEYS[11], ARGV[9], ARGV[10], ARGV[11])
return 1
