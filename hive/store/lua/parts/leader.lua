-- Whether a term is the one of whoever leads. One whose lease ended counts until another takes over: nobody has led since.
local function is_leading(leader, term)
  local known = redis.call('HMGET', leader, 'holder', 'term')
  return known[1] and known[2] == term
end
