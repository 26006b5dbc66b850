#!lua flags=allow-oom
-- Notes that messages of an agent run no longer where they ran. Safe to repeat.
-- KEYS: 1 names ZSET, 2 running HASH
-- ARGV: 1 now ms or '', 2 agent, then for each message: id, where it ran
-- Reply: how many of the agent's messages still run
-- Cost: O(messages)
--include now
for place = 3, #ARGV, 2 do
  if redis.call('HGET', KEYS[2], ARGV[place]) == ARGV[place + 1] then
    redis.call('HDEL', KEYS[2], ARGV[place])
    redis.call('ZADD', KEYS[1], 'XX', clock(ARGV[1]), ARGV[2])
  end
end
return redis.call('HLEN', KEYS[2])
