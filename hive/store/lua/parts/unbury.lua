-- Takes a dead letter out, with what stands beside it. Returns its record and message, or nil: it is not there.
local function unbury(keys, id)
  local record, message = redis.call('HGET', keys.records, id), redis.call('HGET', keys.messages, id)
  redis.call('ZREM', keys.dead, id)
  redis.call('HDEL', keys.records, id)
  redis.call('HDEL', keys.messages, id)
  if not record or not message then
    return nil
  end
  redis.call('HINCRBY', keys.counters, 'dead_bytes', -(#message - #string.match(message, '^%d+:')))
  return record, message
end
