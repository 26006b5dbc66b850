#!lua flags=allow-oom
-- Takes messages without a record, for consumers that never acknowledge.
-- KEYS: 1.. ready LISTs in the order in which they are served
-- ARGV: 1 messages at most, 2 bytes after which to stop
-- Reply: for each message the place of its list from 1, and the envelope
-- Cost: O(lists + messages)
local count, bytes, reply = tonumber(ARGV[1]), 0, {}
for place = 1, #KEYS do
  while count > 0 and bytes < tonumber(ARGV[2]) do
    local payload = redis.call('RPOP', KEYS[place])
    if not payload then
      break
    end
    reply[#reply + 1] = place
    reply[#reply + 1] = payload
    count, bytes = count - 1, bytes + #payload
  end
end
return reply
