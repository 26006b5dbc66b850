-- Ready lists by priority step, from KEYS and ARGV. A message of a step that is no longer configured goes to the first.
local function ready_lists(first_key, first_step, count)
  local lists = {}
  for place = 0, count - 1 do
    lists[ARGV[first_step + place]] = KEYS[first_key + place]
  end
  return setmetatable(lists, { __index = function() return KEYS[first_key] end })
end
