#!lua flags=allow-oom
-- Records what a scaler has decided for an agent type: what holds now, and, if that is a change, in the history. Of a
-- leader whose term has ended nothing is recorded. A repeat stands in the history twice.
-- KEYS: 1 leader HASH, 2 sizes HASH, 3 history LIST, newest left
-- ARGV: 1 term or '' (of itself a worker decides without one), 2 field of the sizes or '', 3 decision, 4 1 it is a change |
--   0, 5 decisions to keep, 6 ms to keep them
-- Reply: 1 recorded | 0 the term has ended
-- Cost: O(1)
--include leader
if ARGV[1] ~= '' and not is_leading(KEYS[1], ARGV[1]) then
  return 0
end
if ARGV[2] ~= '' then
  redis.call('HSET', KEYS[2], ARGV[2], ARGV[3])
end
if ARGV[4] == '1' then
  redis.call('LPUSH', KEYS[3], ARGV[3])
  redis.call('LTRIM', KEYS[3], 0, ARGV[5] - 1)
  redis.call('PEXPIRE', KEYS[3], ARGV[6])
end
return 1
