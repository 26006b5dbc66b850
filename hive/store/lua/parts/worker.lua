-- The node name of a consumer's worker, or '' if it never said.
local function worker_of(info, consumer)
  local known = redis.call('HGET', info, consumer)
  return known and cjson.decode(known).node or ''
end
