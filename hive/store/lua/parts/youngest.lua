-- The youngest tokens of many, at most `count`, the youngest first. They are sorted as numbers, without a function that
-- compares: that takes thirty times as long, and a process may hold tens of thousands.
local function youngest(tokens, count)
  local numbers, chosen = {}, {}
  for place, token in ipairs(tokens) do
    numbers[place] = tonumber(token)
  end
  table.sort(numbers)
  for place = #numbers, math.max(#numbers - count, 0) + 1, -1 do
    chosen[#chosen + 1] = string.format('%.0f', numbers[place])
  end
  return chosen
end
