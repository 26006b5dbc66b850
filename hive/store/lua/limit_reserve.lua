#!lua flags=allow-oom
-- Grants what a call needs of several limits, all of it or nothing. A refusal says when to come again, in turn.
-- KEYS: 1 names ZSET, then for each limit: state HASH, line ZSET, holders ZSET
-- ARGV: 1 now ms or '', 2 who asks, 3 who would hold the places, 4 lease of a place ms, then for each limit: name, most,
--   window ms (0: concurrency), slice ms, amount
-- Reply: {1, now ms, then for each limit the slice it is counted in, 0 for concurrency}, or {0, now ms, when to come again
--   ms, place of the limit that decided it from 1}
-- Cost: O(limits * slices)
--include now
--include limit_window
--include limit_line
local now_ms, who, holder = clock(ARGV[1]), ARGV[2], ARGV[3]
local function read_limit(first, argument)
  local limit = { state = KEYS[first], line = KEYS[first + 1], holders = KEYS[first + 2], name = ARGV[argument],
    most = tonumber(ARGV[argument + 1]), window_ms = tonumber(ARGV[argument + 2]), slice_ms = tonumber(ARGV[argument + 3]),
    amount = tonumber(ARGV[argument + 4]) }
  local known = redis.call('HMGET', limit.state, 'share', 'held_ms', 'tail_ms', 'again_ms', 'lost', 'most', 'mean')
  limit.share, limit.held_ms = tonumber(known[1]) or 1, tonumber(known[2]) or 100
  limit.tail_ms, limit.again_ms, limit.lost = tonumber(known[3]) or 0, tonumber(known[4]) or 0, tonumber(known[5]) or 0
  limit.mean = tonumber(known[7]) or limit.amount
  limit.has_most = known[6] == ARGV[argument + 1]
  if limit.window_ms > 0 then
    open_window(limit, now_ms)
  else
    redis.call('ZREMRANGEBYSCORE', limit.holders, '-inf', now_ms)
    limit.sum = redis.call('ZCARD', limit.holders) - (redis.call('ZSCORE', limit.holders, holder) and 1 or 0)
  end
  return limit
end
local function take(limit)
  if limit.window_ms > 0 then
    count_in(limit, limit.current, limit.amount)
  else
    redis.call('ZADD', limit.holders, now_ms + ARGV[4], holder)
    redis.call('PEXPIRE', limit.holders, 2 * ARGV[4])
  end
  if limit.place_ms then
    redis.call('ZREM', limit.line, who)
  end
  return limit.current or 0
end
local limits, again_ms, decided = {}, 0, 0
for first = 2, #KEYS, 3 do
  local limit = read_limit(first, 5 + (first - 2) / 3 * 5)
  local room_ms = room_at(limit, now_ms, look_at_line(limit, now_ms, who))
  limits[#limits + 1] = limit
  if room_ms > now_ms then
    limit.is_full = true
    local turn = turn_ms(limit, room_ms, now_ms)
    if turn > again_ms then
      again_ms, decided = turn, #limits
    end
  end
end
local reply = decided > 0 and { 0, now_ms, again_ms, decided } or { 1, now_ms }
for _, limit in ipairs(limits) do
  if decided == 0 then
    reply[#reply + 1] = take(limit)
  elseif limit.is_full or limit.place_ms then
    keep_place(limit, now_ms, again_ms, who)
  end
  if not limit.has_most then
    redis.call('HSET', limit.state, 'most', limit.most)
  end
  local kept_ms = math.max(again_ms - now_ms, 0) + 2 * limit.window_ms + 60000
  redis.call('PEXPIRE', limit.state, kept_ms)
  redis.call('ZADD', KEYS[1], now_ms + kept_ms, limit.name)
end
-- Keys may be as many as a fleet has users, so that no name is to stay longer than what it names.
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now_ms)
return reply
