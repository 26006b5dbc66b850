-- The id of this life of the server, or the one a test hands in.
local function server_run_id(handed)
  if handed ~= '' then
    return handed
  end
  return string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
end

-- Last fencing token and epoch of a queue. A server with another run id may have lost its last writes, or be a replica
-- whose clock is behind: its tokens go on an hour later, above any that the old one can have handed out.
local function enter_epoch(state, run_id, now_us)
  local known = redis.call('HMGET', state, 'run_id', 'fence', 'epoch')
  local fence, epoch = tonumber(known[2]) or 0, tonumber(known[3]) or 0
  if known[1] ~= run_id then
    fence, epoch = math.max(fence, now_us) + 3600000000, epoch + 1
    redis.call('HSET', state, 'run_id', run_id, 'fence', string.format('%.0f', fence), 'epoch', epoch)
  end
  return fence, epoch
end
