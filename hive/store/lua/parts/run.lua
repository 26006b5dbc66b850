-- Keeps a record of a run for a time at least; of one that waits without an end, for a year.
local FAR_MS = 253370764800000
local function keep_run(key, until_ms, kept_ms)
  if until_ms >= FAR_MS then
    redis.call('PEXPIRE', key, 31622400000)
  else
    local end_ms = string.format('%.0f', until_ms + kept_ms)
    redis.call('PEXPIREAT', key, end_ms, 'NX')
    redis.call('PEXPIREAT', key, end_ms, 'GT')
  end
end

-- Makes a parked message due. Returns whether it was parked: one whose time has come was promoted and is not.
local function unpark(scheduled, parked, wake_list, id, now_ms)
  redis.call('ZREM', parked, id)
  if not redis.call('ZSCORE', scheduled, id) then
    return false
  end
  redis.call('ZADD', scheduled, 'XX', now_ms, id)
  wake(wake_list)
  return true
end

-- What is recorded where a run is parked: when it is due, the field that waits, its event, and the message.
local function parked_at(record)
  if not record then
    return nil
  end
  local due_ms, told = string.match(record, '^(%d+):(.*)$')
  local at = cjson.decode(told)
  at.due_ms = tonumber(due_ms)
  return at
end
