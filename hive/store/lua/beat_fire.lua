#!lua
-- Publishes what an entry of beat sends for a due time, by the script it carries: once for each due time, whoever asks, and
-- only under the term of who leads. A repeat, a stale term, a paused entry publish nothing.
-- KEYS: 1 leader HASH, 2 entries HASH, 3 fired HASH, 4 runs HASH, 5 paused HASH, 6.. those of the carried script
-- ARGV: 1 now ms or '', 2 term, 3 name, 4 due ms, 5 how many before it are left out, 6.. those of the carried script
-- Reply: {1 done, reply of the carried script} or {2 sent before | 0 no such entry, or paused | -1 the term has ended}
-- Cost: O(1), and that of the carried script
--include now
--include leader
--include firing
local function publish(KEYS, ARGV)
--carried
end

if not is_leading(KEYS[1], ARGV[2]) then
  return { -1 }
end
if redis.call('HEXISTS', KEYS[2], ARGV[3]) == 0 or redis.call('HEXISTS', KEYS[5], ARGV[3]) == 1 then
  return { 0 }
end
if tonumber(ARGV[4]) <= (tonumber(redis.call('HGET', KEYS[3], ARGV[3])) or 0) then
  return { 2 }
end
local reply = publish({ unpack(KEYS, 6) }, { unpack(ARGV, 6) })
local is_full = type(reply[1]) == 'table' and reply[1][1] == 3
if not is_full then
  note_firing(KEYS[3], KEYS[4], ARGV[3], ARGV[4], 1, tonumber(ARGV[5]), (clock(ARGV[1])))
end
return { 1, reply }
