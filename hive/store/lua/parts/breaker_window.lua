-- Adds calls to the part of the window that `now_ms` is in; returns calls and failures of the last ten parts.
local function count_calls(window, now_ms, part_ms, calls, failed)
  local part, places = math.floor(now_ms / part_ms), {}
  for place = 0, 9 do
    places[#places + 1] = 'part' .. place
    places[#places + 1] = 'calls' .. place
    places[#places + 1] = 'failed' .. place
  end
  local mine = part % 10
  if calls > 0 then
    if tonumber(redis.call('HGET', window, 'part' .. mine)) ~= part then
      redis.call('HSET', window, 'part' .. mine, string.format('%.0f', part), 'calls' .. mine, 0, 'failed' .. mine, 0)
    end
    redis.call('HINCRBY', window, 'calls' .. mine, calls)
    redis.call('HINCRBY', window, 'failed' .. mine, failed)
  end
  local counts, all, bad = redis.call('HMGET', window, unpack(places)), 0, 0
  for place = 1, 30, 3 do
    local number = tonumber(counts[place])
    if number and number > part - 10 and number <= part then
      all, bad = all + tonumber(counts[place + 1]), bad + tonumber(counts[place + 2])
    end
  end
  return all, bad
end
