-- The line before a limit: who was told to come again, by when. Who does not come for this long has lost his place.
local GRACE_MS = 10000
-- Room is kept this long for one whose turn has come.
local KEPT_MS = 1000
-- So many lost in a row, and nobody comes any more (a purge): the line is given up.
local LOST_IN_A_ROW = 20

-- Reads where one stands in line, and how much of the limit is kept back for those whose turn it is.
local function look_at_line(limit, now_ms, who)
  limit.place_ms = tonumber(redis.call('ZSCORE', limit.line, who) or nil)
  local lost = redis.call('ZREMRANGEBYSCORE', limit.line, '-inf', now_ms - GRACE_MS)
  if limit.place_ms and limit.lost > 0 then
    redis.call('HSET', limit.state, 'lost', 0)
  elseif lost > 0 and not limit.place_ms and limit.lost + lost >= LOST_IN_A_ROW then
    redis.call('DEL', limit.line)
    redis.call('HSET', limit.state, 'lost', 0, 'tail_ms', 0)
    limit.tail_ms = 0
  elseif lost > 0 then
    redis.call('HINCRBY', limit.state, 'lost', lost)
  end
  if limit.place_ms and limit.place_ms <= now_ms then
    return 0
  end
  -- Enough for those whose turn has come, and that all who come within the window from now fit into it.
  local due = redis.call('ZCOUNT', limit.line, now_ms - KEPT_MS, now_ms) * limit.mean
  local soon = redis.call('ZCOUNT', limit.line, now_ms - KEPT_MS, now_ms + limit.window_ms) * limit.mean * limit.share
  local kept = math.max(due, soon - limit.sum)
  -- A line whose people do not come is not to hold up those who are there.
  return limit.lost + lost > 0 and math.min(kept, limit.most / 10) or kept
end

-- When one who finds no room is to come again: behind all others, or behind those who came in vain like him.
local function turn_ms(limit, room_ms, now_ms)
  local pace, turn = pace_ms(limit), 0
  if limit.place_ms then
    turn = math.max(room_ms, limit.place_ms, limit.again_ms)
    redis.call('HSET', limit.state, 'again_ms', string.format('%.3f', turn + pace))
  else
    local before = redis.call('ZCOUNT', limit.line, now_ms, '+inf')
    turn = math.max(room_ms, limit.tail_ms, now_ms + before * pace * limit.mean / limit.amount)
    local mean = string.format('%.2f', 0.9 * limit.mean + 0.1 * limit.amount)
    redis.call('HSET', limit.state, 'tail_ms', string.format('%.3f', turn + pace), 'mean', mean)
  end
  return math.ceil(turn)
end

-- Keeps a place until then, also in the line of a limit that had room this time: it may not when he comes again.
local function keep_place(limit, now_ms, again_ms, who)
  redis.call('ZADD', limit.line, again_ms, who)
  local kept_ms = again_ms - now_ms + GRACE_MS
  redis.call('PEXPIRE', limit.line, kept_ms, 'NX')
  redis.call('PEXPIRE', limit.line, kept_ms, 'GT')
end
