#!lua flags=allow-oom
-- Looks for leases that have ended. After a gap of half a lease, under another run id or when time ran backwards it
-- extends every lease by its own term instead: then it was not the consumers that were gone.
-- KEYS: for each queue: state HASH, consumers ZSET, counters HASH, consumers:info HASH
-- ARGV: 1 now ms or '', 2 run id or '', 3 lease ms of who asks
-- Reply: for each queue {1 extended all | 0, consumers registered, ms to the end of the lease that ends next or -1, consumers
--   to reap, at most 100}
-- Cost: O(queues), O(consumers) after a gap
--include now
--include epoch
local now_ms, now_us = clock(ARGV[1])
local run_id, lease_ms = server_run_id(ARGV[2]), tonumber(ARGV[3])
local function term_of(info, consumer)
  local known = redis.call('HGET', info, consumer)
  return known and tonumber(cjson.decode(known).lease_ms) or lease_ms
end
local reply = {}
for first = 1, #KEYS, 4 do
  local last = redis.call('HMGET', KEYS[first], 'ticked_ms', 'tick_run_id')
  local gap_ms = now_ms - (tonumber(last[1]) or -lease_ms)
  redis.call('HSET', KEYS[first], 'ticked_ms', now_ms, 'tick_run_id', run_id)
  enter_epoch(KEYS[first], run_id, now_us)
  if last[2] ~= run_id or gap_ms < 0 or gap_ms >= lease_ms / 2 then
    for _, consumer in ipairs(redis.call('ZRANGEBYSCORE', KEYS[first + 1], '(0', '+inf')) do
      -- A lease is shortened only if time ran backwards: its end is a time of the old clock.
      redis.call('ZADD', KEYS[first + 1], gap_ms < 0 and 'XX' or 'GT', now_ms + term_of(KEYS[first + 3], consumer), consumer)
    end
    redis.call('HINCRBY', KEYS[first + 2], 'forgiven', 1)
    reply[#reply + 1] = { 1, redis.call('ZCARD', KEYS[first + 1]), -1 }
  else
    local expired = redis.call('ZRANGEBYSCORE', KEYS[first + 1], 0, now_ms, 'LIMIT', 0, 100)
    local next_ms = redis.call('ZRANGEBYSCORE', KEYS[first + 1], '(' .. now_ms, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)[2]
    reply[#reply + 1] = { 0, redis.call('ZCARD', KEYS[first + 1]), next_ms and next_ms - now_ms or -1, unpack(expired) }
  end
end
return reply
