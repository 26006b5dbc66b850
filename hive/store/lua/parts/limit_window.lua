-- Forgets slices from one to another, both included. Returns what they held.
local function drop_slices(limit, from, to)
  local held = 0
  for place = from, to do
    local used = redis.call('HGET', limit.state, place)
    if used then
      held = held + used
      redis.call('HDEL', limit.state, place)
    end
  end
  return held
end

-- Counts an amount, or takes it back, in a slice; `first` and `last` bound the slices there are.
local function count_in(limit, place, amount)
  limit.sum = limit.sum + amount
  limit.first, limit.last = math.min(limit.first or place, place), math.max(limit.last or place, place)
  redis.call('HINCRBY', limit.state, place, string.format('%.0f', amount))
  redis.call('HSET', limit.state, 'sum', string.format('%.0f', limit.sum), 'first', limit.first, 'last', limit.last)
end

-- Reads what a limit holds at present; slices that have left the window are forgotten.
local function open_window(limit, now_ms)
  local known = redis.call('HMGET', limit.state, 'sum', 'first', 'last')
  limit.sum, limit.first, limit.last = tonumber(known[1]) or 0, tonumber(known[2]), tonumber(known[3])
  limit.current = math.floor(now_ms / limit.slice_ms)
  if limit.last and limit.last > limit.current then
    -- Time ran backwards: what is counted counts from now on, so that none of it is forgotten too early.
    limit.sum = drop_slices(limit, limit.first, limit.last)
    local held = limit.sum
    limit.sum, limit.first, limit.last = 0, nil, nil
    count_in(limit, limit.current, held)
  end
  local last_gone = math.min(math.floor((now_ms - limit.window_ms) / limit.slice_ms) - 1, limit.last or 0)
  if limit.first and limit.first <= last_gone then
    limit.sum = limit.sum - drop_slices(limit, limit.first, last_gone)
    limit.first = last_gone + 1
    if last_gone == limit.last then
      limit.sum, limit.first, limit.last = 0, nil, nil
      redis.call('HDEL', limit.state, 'sum', 'first', 'last')
    else
      redis.call('HSET', limit.state, 'sum', string.format('%.0f', limit.sum), 'first', limit.first)
    end
  end
end

-- How long a place of the line lasts: what a call uses of the limit as time, and a little more. Else whoever comes a
-- moment late puts off all behind him, who then come in vain.
local function pace_ms(limit)
  if limit.window_ms == 0 then
    return math.min(math.max(limit.held_ms / limit.most, 5), 1000)
  end
  return 1.01 * limit.amount * limit.share * (limit.window_ms + limit.slice_ms) / limit.most
end

-- When the amount fits, with some kept back for others, if nothing else is granted until then.
local function room_at(limit, now_ms, kept_back)
  local over = limit.sum + limit.amount + kept_back - limit.most
  if over <= 0 then
    return now_ms
  end
  if limit.window_ms == 0 or not limit.first then
    return math.ceil(now_ms + pace_ms(limit))
  end
  for place = limit.first, limit.last - 1 do
    over = over - (redis.call('HGET', limit.state, place) or 0)
    if over <= 0 then
      return (place + 1) * limit.slice_ms + limit.window_ms
    end
  end
  return (limit.last + 1) * limit.slice_ms + limit.window_ms
end
