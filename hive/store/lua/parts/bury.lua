-- Sets a message aside: `record` says why, the payload stands beside it untouched. Its arrival is kept to be told of.
local function bury(keys, token, now_ms, priority, payload, record)
  redis.call('ZADD', keys.dead, now_ms, token)
  redis.call('HSET', keys.records, token, cjson.encode(record))
  redis.call('HSET', keys.messages, token, priority .. ':' .. payload)
  redis.call('HINCRBY', keys.counters, 'dead', 1)
  redis.call('HINCRBY', keys.counters, 'dead_bytes', #payload)
  redis.call('ZADD', keys.untold, now_ms, token)
end
