#!lua flags=allow-oom
-- Takes messages of several queues for a consumer, priority step by step over all queues, oldest first, and records them
-- in flight. The same sequence number returns the same batch. A suspect goes only to an idle process, and alone.
-- KEYS: for each queue: state HASH, consumers ZSET, scheduled ZSET, scheduled:messages HASH, wake LIST, suspects LIST,
--   counters HASH, inflight:<consumer> HASH, claimed:<consumer> HASH, fair ZSET, fair:turns ZSET,
--   fair:messages STREAM, fair:waiting HASH, ready LIST of each priority step; where there are lanes, then LIST of the
--   consumer's lane and LIST of a long lane of another, for each step; deaths HASH
-- ARGV: 1 now ms or '', 2 run id or '', 3 consumer, 4 sequence, 5 credit in messages, 6 bytes after which to stop,
--   7 idle 1|0, 8 lease ms, 9 messages to promote at most, 10 number of priority steps, 11.. the steps, then, where there
--   are lanes, for each queue the messages that are left to the long one, or -1: there is none
-- Reply: status (1 taken, 2 drain, 3 alone, -1 unregistered, -2 late), more left 1|0, suspects waiting 1|0, ms until the
--   next scheduled message is due or -1, nothing is known of any message's deaths 1|0, then for each message: place of its queue from 1, token, record `<priority>[!]:<sequence>:<envelope>` (`!`: a suspect)
-- Cost: O(queues + credit), at most one message beyond the bytes
--include record
--include now
--include epoch
--include standing
--include wake
--include lists
--include fair
--include promote
--include claim_repeat
--include claim_suspect
--include claim_lane
--include claim_ready
local now_ms, now_us = clock(ARGV[1])
local steps = tonumber(ARGV[10])
local width = #ARGV > 10 + steps and 14 + 3 * steps or 14 + steps
local queues = {}
for first = 1, #KEYS, width do
  if not registered(KEYS[first + 1], ARGV[3]) then
    return { -1, 0, 0, -1, 0 }
  end
  local queue = { place = #queues + 1, first = first, state = KEYS[first], wake = KEYS[first + 4],
    suspects = KEYS[first + 5], inflight = KEYS[first + 7], claimed = KEYS[first + 8], tokens = {}, is_odd = tonumber(ARGV[4]) % 2 == 1 }
  queue.last = redis.call('HMGET', queue.claimed, 'sequence', 'tokens', 'alone')
  queues[queue.place] = queue
end
local again = repeated(queues, tonumber(ARGV[4]))
if again then
  return again
end
local run_id, due_ms, is_clean = server_run_id(ARGV[2]), -1, true
for _, queue in ipairs(queues) do
  queue.fence = enter_epoch(queue.state, run_id, now_us)
  queue.ready = ready_lists(queue.first + 13, 11, steps)
  find_lanes(queue, steps)
  queue.fair = fair_keys(queue.state, queue.first + 9)
  promote(now_ms, ARGV[9], KEYS[queue.first + 2], KEYS[queue.first + 3], KEYS[queue.first + 6], queue.ready, queue.suspects, queue.fair)
  queue.has_keys = redis.call('EXISTS', queue.fair.order) == 1
  due_ms = sooner(due_ms, KEYS[queue.first + 2])
  is_clean = is_clean and redis.call('EXISTS', KEYS[queue.first + width - 1]) == 0
end
local reply, waiting = suspect_first(queues, steps, ARGV[7] == '1', now_ms, now_us)
reply = reply or take_ready(queues, steps, now_us, waiting)
reply[4] = due_ms < 0 and -1 or math.max(due_ms - now_ms, 0)
reply[5] = is_clean and 1 or 0
return reply
