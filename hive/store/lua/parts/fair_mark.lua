-- Whose turn a message waits for, read from its headers where nothing beside it says so: `;<key>;<weight>`, or ''.
local function fair_mark_of(payload)
  if not string.find(payload, '"hive_fair_key"', 1, true) then
    return ''
  end
  local is_json, envelope = pcall(cjson.decode, payload)
  local headers = is_json and type(envelope) == 'table' and envelope.headers
  local key = type(headers) == 'table' and headers.hive_fair_key
  local weight = type(headers) == 'table' and (headers.hive_fair_weight or 1)
  if type(key) ~= 'string' or key == '' or #key > 800 or type(weight) ~= 'number' or weight < 0.01 or weight > 100 then
    return ''
  end
  key = string.gsub(key, '[^%w_.~-]', function(byte) return string.format('%%%02X', string.byte(byte)) end)
  return ';' .. key .. ';' .. string.format('%g', weight)
end
