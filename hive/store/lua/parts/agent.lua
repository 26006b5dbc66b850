-- What is told of an agent after each step; one that nobody has named before is awake.
local function agent_told(key, done)
  local found = redis.call('HMGET', key, 'state', 'token', 'until_ms', 'wakes', 'strikes')
  return { done, found[1] or 'awake', tonumber(found[2] or 0), tonumber(found[3] or 0), tonumber(found[4] or -1), tonumber(found[5] or 0) }
end
