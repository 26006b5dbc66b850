-- Notes that an entry was sent for a due time, or left out: all due times up to it are over. `runs` counts both.
local function note_firing(fired, runs, name, due_ms, sent, left_out, now_ms)
  redis.call('HSET', fired, name, due_ms)
  local at_ms, count, omitted = string.match(redis.call('HGET', runs, name) or '0 0 0', '^(%d+) (%d+) (%d+)$')
  if sent > 0 then
    at_ms = string.format('%.0f', now_ms)
  end
  redis.call('HSET', runs, name, string.format('%s %d %d', at_ms, count + sent, omitted + left_out))
end
