#!lua flags=allow-oom
-- Leaves out what an entry of beat did not send, up to a due time, unless the term has ended or more than that is over.
-- KEYS: 1 leader HASH, 2 entries HASH, 3 fired HASH, 4 runs HASH
-- ARGV: 1 now ms or '', 2 term, 3 name, 4 due ms, 5 how many are left out
-- Reply: 1 left out | 2 it was over before | 0 there is no such entry | -1 the term has ended
-- Cost: O(1)
--include now
--include leader
--include firing
if not is_leading(KEYS[1], ARGV[2]) then
  return -1
end
if redis.call('HEXISTS', KEYS[2], ARGV[3]) == 0 then
  return 0
end
if tonumber(ARGV[4]) <= (tonumber(redis.call('HGET', KEYS[3], ARGV[3])) or 0) then
  return 2
end
note_firing(KEYS[3], KEYS[4], ARGV[3], ARGV[4], 0, tonumber(ARGV[5]), (clock(ARGV[1])))
return 1
