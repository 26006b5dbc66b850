#!lua flags=allow-oom
-- Counts what became of a retry. Full counts are halved, so that what has changed is learned anew; what nobody adds to is
-- forgotten.
-- KEYS: 1 outcomes HASH
-- ARGV: 1 cell `<bin>:<bin>`, 2 `done` or `failed`, 3 outcomes that fill a cell, 4 kept ms
-- Reply: the new count
-- Cost: O(1)
local good, bad = ARGV[1] .. ':done', ARGV[1] .. ':failed'
local counts = redis.call('HMGET', KEYS[1], good, bad)
local goods, bads = tonumber(counts[1]) or 0, tonumber(counts[2]) or 0
if goods + bads >= tonumber(ARGV[3]) then
  redis.call('HSET', KEYS[1], good, goods / 2, bad, bads / 2)
end
local count = redis.call('HINCRBYFLOAT', KEYS[1], ARGV[1] .. ':' .. ARGV[2], 1)
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return count
