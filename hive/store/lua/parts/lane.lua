-- Whether the lease by which a lane lives goes on; its record in the loads is `<consumer> <waiting> <load>`.
local function lane_lives(consumers, record, now_ms)
  local consumer = record and string.match(record, '^%S+')
  local lease_end_ms = consumer and redis.call('ZSCORE', consumers, consumer)
  return lease_end_ms and tonumber(lease_end_ms) > now_ms
end
