-- Splits a record of the in-flight hash: priority step, `!` if it is a suspect, envelope.
local function split_record(record)
  local _, head_end, priority, mark = string.find(record, '^(%d+)(!?):%d+:')
  return priority, mark, string.sub(record, head_end + 1)
end

-- Splits what waits outside the ready lists: priority step, envelope, `!` if it is a suspect, `;<key>;<weight>` if it
-- waits for its key's turn when its time has come.
local function split_waiting(record)
  local _, head_end, priority, mark, fair_mark = string.find(record, '^(%d+)(!?)(;?[^:]*):')
  return priority, string.sub(record, head_end + 1), mark, fair_mark
end
