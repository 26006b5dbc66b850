-- Where a breaker stands: 0 closed, 1 open, 2 half-open.
local function breaker_at(key)
  local found = redis.call('HMGET', key, 'state', 'generation', 'until_ms', 'answered')
  return {
    key = key, state = tonumber(found[1]) or 0, generation = tonumber(found[2]) or 1,
    until_ms = tonumber(found[3]) or 0, answered = tonumber(found[4]) or 0,
  }
end

-- Begins a new generation in a state; counts and probes of the old one are forgotten.
local function turn(breaker, state, until_ms, now_ms, window, probes)
  breaker.state, breaker.until_ms, breaker.answered = state, until_ms, 0
  breaker.generation = breaker.generation + 1
  redis.call('HSET', breaker.key, 'state', state, 'generation', breaker.generation,
    'until_ms', until_ms, 'answered', 0, 'turned_ms', now_ms)
  redis.call('DEL', window, probes)
  if state == 1 then
    redis.call('HINCRBY', breaker.key, 'opened', 1)
  end
end

-- What is told of a breaker after each step.
local function told(breaker, now_ms, granted)
  return { breaker.state, breaker.generation, breaker.until_ms, now_ms, granted }
end

-- Keeps what belongs to a breaker for a week after its last use.
local function keep(...)
  for _, key in ipairs({ ... }) do
    redis.call('PEXPIRE', key, 604800000)
  end
end
