-- The broker's time, or the one a test hands in: milliseconds and microseconds.
local function clock(handed_ms)
  if handed_ms ~= '' then
    return tonumber(handed_ms), tonumber(handed_ms) * 1000
  end
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000), time[1] * 1000000 + time[2]
end
