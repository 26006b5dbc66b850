-- Makes due scheduled messages ready, or suspects again, or lets them wait for their key's turn, at most `limit` and about
-- 1 MB. Returns how many.
local function promote(now_ms, limit, scheduled, messages, counters, ready, suspects, fair)
  local due = redis.call('ZRANGEBYSCORE', scheduled, '-inf', now_ms, 'LIMIT', 0, limit)
  local count, bytes = 0, 0
  for _, id in ipairs(due) do
    if bytes >= 1048576 then
      break
    end
    local record = redis.call('HGET', messages, id)
    if record then
      local priority, payload, mark, fair_mark = split_waiting(record)
      if mark == '!' then
        redis.call('LPUSH', suspects, priority .. ':' .. payload)
      elseif fair_mark ~= '' then
        fair_add(fair, priority, fair_mark, payload)
      else
        redis.call('LPUSH', ready[priority], payload)
      end
      bytes, count = bytes + #record, count + 1
    end
    redis.call('ZREM', scheduled, id)
    redis.call('HDEL', messages, id)
  end
  if count > 0 then
    redis.call('HINCRBY', counters, 'promoted', count)
  end
  return count
end

-- The earlier of a time (-1: none) and when the first scheduled message of a queue is due.
local function sooner(due_ms, scheduled)
  local first = redis.call('ZRANGE', scheduled, 0, 0, 'WITHSCORES')[2]
  if not first then
    return due_ms
  end
  return due_ms < 0 and tonumber(first) or math.min(due_ms, tonumber(first))
end
