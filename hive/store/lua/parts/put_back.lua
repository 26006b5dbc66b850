-- Puts a record of the in-flight hash back where it will be claimed next; a suspect (marked `!`) to the suspects.
local function put_back(record, ready, suspects)
  local priority, mark, payload = split_record(record)
  if mark == '!' then
    redis.call('RPUSH', suspects, priority .. ':' .. payload)
  else
    redis.call('RPUSH', ready[priority], payload)
  end
end
