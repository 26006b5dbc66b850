-- How many messages of a queue wait: ready, for their key's turn, scheduled, suspects.
local function waiting_count(keys, first, steps)
  local count = redis.call('ZCARD', keys.scheduled) + redis.call('LLEN', keys.suspects) + redis.call('ZCARD', keys.fair)
  for place = first, first + steps - 1 do
    count = count + redis.call('LLEN', KEYS[place])
  end
  return count
end

-- Takes the newest ready message of the lowest priority out, if that is below a step. Returns its step and bytes, or nil.
local function lowest_below(step, first, steps)
  for place = steps, step + 1, -1 do
    local payload = redis.call('LPOP', KEYS[first + place - 1])
    if payload then
      return place, payload
    end
  end
  return nil
end

-- The id under which the deaths of a message are counted, if its bytes say one; else one made from them.
local function id_of(payload)
  local is_json, envelope = pcall(cjson.decode, payload)
  local properties = is_json and type(envelope) == 'table' and envelope.properties
  local id = type(properties) == 'table' and properties.delivery_tag
  return type(id) == 'string' and id or 'digest:' .. redis.sha1hex(payload)
end
