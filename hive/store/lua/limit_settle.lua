#!lua flags=allow-oom
-- Sets right what was reserved by what was used. What was not used is free again where it was counted; what was used
-- beyond it is counted now, even over the limit: it has happened, and later grants wait for it. Not to be repeated.
-- KEYS: for each limit: state HASH
-- ARGV: 1 now ms or '', then for each limit: window ms, slice ms, slice it was counted in, amount reserved, amount used
-- Reply: number of limits
-- Cost: O(limits * slices)
--include now
--include limit_window
local now_ms = clock(ARGV[1])
for place = 1, #KEYS do
  local argument = 2 + (place - 1) * 5
  local reserved, used = tonumber(ARGV[argument + 3]), tonumber(ARGV[argument + 4])
  local limit = { state = KEYS[place], window_ms = tonumber(ARGV[argument]), slice_ms = tonumber(ARGV[argument + 1]) }
  open_window(limit, now_ms)
  if used > reserved then
    count_in(limit, limit.current, used - reserved)
  elseif used < reserved then
    local counted = tonumber(redis.call('HGET', limit.state, ARGV[argument + 2]) or 0)
    if counted > 0 then
      count_in(limit, tonumber(ARGV[argument + 2]), -math.min(counted, reserved - used))
    end
  end
  -- Which share of the estimates is really used: the line moves by it.
  local share = tonumber(redis.call('HGET', limit.state, 'share') or 1)
  if used > 0 then
    share = math.min(math.max(0.7 * share + 0.3 * used / reserved, 0.01), 100)
    redis.call('HSET', limit.state, 'share', string.format('%.4f', share))
  end
  redis.call('PEXPIRE', limit.state, 2 * limit.window_ms + 60000, 'GT')
  redis.call('PEXPIRE', limit.state, 2 * limit.window_ms + 60000, 'NX')
end
return #KEYS
