#!lua flags=allow-oom
-- Lets a delivery wait on the broker, uncounted and unchanged, until its time or a signal, unless that is there: then it
-- goes on. The time is fixed when it is first asked for. A signal comes from the run's own mailbox, else its agent's.
-- KEYS: 1 consumers ZSET, 2 counters HASH, 3 inflight:<consumer> HASH, 4 started:<consumer> HASH, 5 scheduled ZSET,
--   6 scheduled:messages HASH, 7 parked ZSET, 8 run HASH, 9 mailbox of the run LIST, 10 mailbox of its agent LIST,
--   11 waiters of its agent ZSET
-- ARGV: 1 now ms or '', 2 consumer, 3 token, 4 message id, 5 field, 6 due ms or '', 7 wait ms or '', 8 task id or '' if it
--   waits for no event, 9 of an agent 1|0, 10 `;<key>;<weight>` or '', 11 how long the run is kept ms, 12 where it is, JSON
-- Reply: {1 parked, due ms} | {2 goes on, `<times unknown>:<payload>`, empty at the end of its time}, {0 ended before}, {-1 stale}
-- Cost: O(log scheduled)
--include record
--include now
--include standing
--include wake
--include run
local code = standing(KEYS[1], KEYS[2], KEYS[3], ARGV[2], ARGV[3])
if code ~= 1 then
  return { code, '' }
end
local now_ms = clock(ARGV[1])
local known = redis.call('HGET', KEYS[8], ARGV[5]) or ''
if string.sub(known, 1, 1) == '+' then
  return { 2, string.sub(known, 2) }
end
local function go_on(payload)
  redis.call('HDEL', KEYS[8], 'at')
  redis.call('HSET', KEYS[8], ARGV[5], '+0:' .. payload)
  keep_run(KEYS[8], now_ms, tonumber(ARGV[11]))
  redis.call('ZREM', KEYS[7], ARGV[4])
  redis.call('ZREM', KEYS[11], ARGV[8])
  return { 2, '0:' .. payload }
end
if ARGV[8] ~= '' then
  local signal = redis.call('RPOP', KEYS[9]) or (ARGV[9] == '1' and redis.call('RPOP', KEYS[10]))
  if signal then
    return go_on(signal)
  end
end
local due_ms = tonumber(string.match(known, '^~(%d+)$')) or tonumber(ARGV[6])
due_ms = due_ms or (ARGV[7] ~= '' and now_ms + ARGV[7]) or FAR_MS
if due_ms <= now_ms then
  return go_on('')
end
local due = string.format('%.0f', due_ms)
redis.call('HSET', KEYS[8], ARGV[5], '~' .. due, 'at', due .. ':' .. ARGV[12])
keep_run(KEYS[8], due_ms, tonumber(ARGV[11]))
local priority, mark, payload = split_record(redis.call('HGET', KEYS[3], ARGV[3]))
redis.call('ZADD', KEYS[5], due, ARGV[4])
redis.call('HSET', KEYS[6], ARGV[4], priority .. mark .. (mark == '' and ARGV[10] or '') .. ':' .. payload)
-- Those whose time has come were promoted; they are not counted, and leave with the next one that is parked.
redis.call('ZREMRANGEBYSCORE', KEYS[7], '-inf', now_ms)
redis.call('ZADD', KEYS[7], due, ARGV[4])
redis.call('HINCRBY', KEYS[2], 'parked', 1)
if ARGV[8] ~= '' and ARGV[9] == '1' then
  redis.call('ZADD', KEYS[11], 'NX', now_ms, ARGV[8])
end
forget(KEYS[3], KEYS[4], nil, ARGV[3])
return { 1, due }
