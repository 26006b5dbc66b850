-- Messages with a key wait behind the ready lists, each with its turn: a key's messages stand one share apart, keys that
-- wait side by side. `order` has priority and turn as one number, so that lower steps come first.
local SHARE, SPAN = 1000, 281474976710656
-- How many messages the ready lists are filled up to: what LLEN and stock workers see, and all a new key has before it.
local WINDOW = 1

local function fair_keys(state, first)
  return { state = state, order = KEYS[first], turns = KEYS[first + 1], messages = KEYS[first + 2], waiting = KEYS[first + 3] }
end

-- Lets a message wait for its key's turn; `mark` is `;<key>;<weight>`. Nobody makes up for turns in which it did not wait.
-- Returns whether its turn has come, and no other's of its key was in this round.
local function fair_add(fair, priority, mark, payload)
  local key, weight = string.match(mark, '^;([^;]*);(.*)$')
  local low, field = tonumber(priority) * SPAN, priority .. ':' .. key
  local reached = low + (redis.call('HGET', fair.state, 'turn:' .. priority) or 0)
  local turn = math.max(reached, tonumber(redis.call('ZSCORE', fair.turns, field) or 0))
  local is_first = turn == reached and redis.call('EXISTS', fair.turns) == 1
  local number = redis.call('HINCRBY', fair.state, 'number', 1)
  redis.call('ZADD', fair.turns, string.format('%.0f', turn + math.max(math.floor(SHARE / weight + 0.5), 1)), field)
  redis.call('PERSIST', fair.turns)
  redis.call('ZADD', fair.order, string.format('%.0f', turn), string.format('%016.0f', number))
  redis.call('XADD', fair.messages, string.format('%.0f-0', number), 'key', key, 'envelope', payload)
  redis.call('HINCRBY', fair.waiting, key, 1)
  return is_first
end

-- Takes the message whose turn it is, if it is of this priority or a higher one. Returns its bytes and priority, or nil.
local function fair_next(fair, priority)
  local head = redis.call('ZRANGE', fair.order, 0, 0, 'WITHSCORES')
  local turn = tonumber(head[2])
  if not turn or turn >= (priority + 1) * SPAN then
    return nil
  end
  local id = string.format('%.0f-0', tonumber(head[1]))
  local fields = redis.call('XRANGE', fair.messages, id, id)[1][2]
  redis.call('ZREM', fair.order, head[1])
  redis.call('XDEL', fair.messages, id)
  local own = math.floor(turn / SPAN)
  redis.call('HSET', fair.state, 'turn:' .. own, string.format('%.0f', turn - own * SPAN))
  redis.call('ZREMRANGEBYSCORE', fair.turns, string.format('%.0f', own * SPAN), head[2])
  if redis.call('HINCRBY', fair.waiting, fields[2], -1) == 0 then
    redis.call('HDEL', fair.waiting, fields[2])
  end
  if redis.call('ZCARD', fair.order) == 0 then
    redis.call('DEL', fair.messages, fair.waiting)
    -- Who publishes one by one must not be first each time: what came before is known for a while.
    redis.call('PEXPIRE', fair.turns, 60000)
  end
  return fields[4], tostring(own)
end

-- Fills the ready lists up to the window, in turn. `first_step` of ARGV is the first of `count` priority steps.
local function fair_refill(fair, ready, first_step, count)
  local count_left = WINDOW
  for place = first_step, first_step + count - 1 do
    local step = ARGV[place]
    count_left = count_left - redis.call('LLEN', ready[step])
    for _ = 1, count_left do
      local payload = fair_next(fair, tonumber(step))
      if not payload then
        break
      end
      redis.call('LPUSH', ready[step], payload)
      redis.call('HDEL', fair.state, 'passed')
      count_left = count_left - 1
    end
  end
end

-- Lets a key that was not waiting go before what is in the window, which was filled when nobody else waited; each of these
-- is passed once at most.
local function fair_pass(fair, ready, step)
  if redis.call('LLEN', ready[step]) > 0 and redis.call('HSETNX', fair.state, 'passed', 1) == 1 then
    local payload, priority = fair_next(fair, tonumber(step))
    redis.call('RPUSH', ready[priority], payload)
  end
end
