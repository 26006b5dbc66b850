#!lua flags=allow-oom
-- Books resources of a host for one holder if they fit beside what others hold, all of them or nothing; what it held
-- stays if they do not. A repeat changes nothing but the lease.
-- KEYS: 1 held HASH, 2 leases ZSET, 3 totals HASH
-- ARGV: 1 now ms or '', 2 holder, 3 lease ms, 4 whether it takes what does not fit, 5 names of the resources, then for
--   each resource: capacity, amount
-- Reply: {1 or 0, whether it held them already, then for each resource what others hold}
-- Cost: O(resources + ended log leases); at most 100 ended leases are cleared at a time
--include now
--include give_back
local now_ms, holder = clock(ARGV[1]), ARGV[2]
for _, ended in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now_ms, 'LIMIT', 0, 100)) do
  give_back(ended)
end
local before, own = redis.call('HGET', KEYS[1], holder), {}
for name, amount in string.gmatch(before or '', '(%a+)=(%d+)') do
  own[name] = tonumber(amount)
end
local amounts, others, fits = {}, {}, true
for name in string.gmatch(ARGV[5], '%a+') do
  local place = 6 + 2 * #others
  local held = tonumber(redis.call('HGET', KEYS[3], name) or 0) - (own[name] or 0)
  local amount = tonumber(ARGV[place + 1])
  fits = fits and (amount == 0 or held + amount <= tonumber(ARGV[place]))
  others[#others + 1], amounts[#amounts + 1] = held, {name, amount}
end
if not fits and ARGV[4] ~= '1' then
  return {0, before and 1 or 0, unpack(others)}
end
give_back(holder)
local record = {}
for index, pair in ipairs(amounts) do
  record[index] = pair[1] .. '=' .. string.format('%d', pair[2])
  redis.call('HINCRBY', KEYS[3], pair[1], pair[2])
end
redis.call('HSET', KEYS[1], holder, table.concat(record, ' '))
redis.call('ZADD', KEYS[2], now_ms + ARGV[3], holder)
for _, key in ipairs(KEYS) do
  redis.call('PEXPIRE', key, 10 * ARGV[3])
end
return {1, before and 1 or 0, unpack(others)}
