-- Takes what a holder has booked off the totals; nothing if it holds nothing. Keys as in book.
local function give_back(who)
  local held = redis.call('HGET', KEYS[1], who)
  redis.call('ZREM', KEYS[2], who)
  if held then
    redis.call('HDEL', KEYS[1], who)
    for name, amount in string.gmatch(held, '(%a+)=(%d+)') do
      redis.call('HINCRBY', KEYS[3], name, -amount)
    end
  end
  return held
end
