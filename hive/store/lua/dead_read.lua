#!lua flags=allow-oom
-- Reads dead letters by id, at most so many bytes (but one always); changes nothing.
-- KEYS: 1 dead:records HASH, 2 dead:messages HASH
-- ARGV: 1 bytes after which to stop, 2.. ids
-- Reply: for each id looked at {record or nil, message or nil}
-- Cost: O(ids)
local left_bytes, reply = tonumber(ARGV[1]), {}
for place = 2, #ARGV do
  if left_bytes <= 0 then
    break
  end
  local record, message = redis.call('HGET', KEYS[1], ARGV[place]), redis.call('HGET', KEYS[2], ARGV[place])
  reply[#reply + 1] = { record, message }
  left_bytes = left_bytes - (message and #message or 0)
end
return reply
