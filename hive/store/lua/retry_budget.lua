#!lua flags=allow-oom
-- Pays the share of first attempts into the retry account of a dependency, draws one retry, and says how long it waits
-- until the account would cover it. What RetryAccount does for one process, for all of them.
-- KEYS: 1 account HASH
-- ARGV: 1 now ms or '', 2 first attempts since the caller's last call, 3 share, 4 retries a second at least, 5 window ms
-- Reply: the wait in ms, 0 if the account covers it
-- Cost: O(1)
--include now
local now_ms = clock(ARGV[1])
local attempts, share, least, window_s = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]) / 1000
local known = redis.call('HMGET', KEYS[1], 'at_ms', 'traffic_per_s', 'balance')
local passed_s = math.max(now_ms - (tonumber(known[1]) or now_ms), 0) / 1000
local traffic_per_s = (tonumber(known[2]) or 0) * math.exp(-passed_s / window_s) + attempts / window_s
local rate_per_s = least + share * traffic_per_s
local balance = (tonumber(known[3]) or math.max(1, least * window_s)) + share * attempts + least * passed_s
balance = math.min(balance, math.max(1, rate_per_s * window_s)) - 1
redis.call('HSET', KEYS[1], 'at_ms', now_ms, 'traffic_per_s', traffic_per_s, 'balance', balance)
-- A debt outlives the account's silence; an account without one is as good as a new one.
redis.call('PEXPIRE', KEYS[1], math.ceil(10000 * window_s + math.max(-balance, 0) / rate_per_s * 1000))
return math.ceil(math.max(-balance, 0) / rate_per_s * 1000)
