#!lua flags=allow-oom
-- Writes notes of a leader, all or none, unless its term has ended; an empty one is forgotten. A repeat writes the same.
-- KEYS: 1 leader HASH, 2 notes HASH
-- ARGV: 1 term, then for each note: name, value
-- Reply: 1 written | 0 the term has ended
-- Cost: O(notes)
--include leader
if not is_leading(KEYS[1], ARGV[1]) then
  return 0
end
for place = 2, #ARGV, 2 do
  if ARGV[place + 1] == '' then
    redis.call('HDEL', KEYS[2], ARGV[place])
  else
    redis.call('HSET', KEYS[2], ARGV[place], ARGV[place + 1])
  end
end
return 1
