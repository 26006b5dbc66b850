-- Puts a record of the in-flight hash back where it will be claimed next, or last; a suspect (marked `!`) to the suspects.
local function put_back(record, ready, suspects, to_end)
  local priority, mark, payload = split_record(record)
  if mark == '!' then
    redis.call(to_end and 'LPUSH' or 'RPUSH', suspects, priority .. ':' .. payload)
  else
    redis.call(to_end and 'LPUSH' or 'RPUSH', ready[priority], payload)
  end
end
