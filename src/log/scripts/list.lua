-- What a stream holds, for a list of many of them: no payload is handed on.
--
-- KEYS 1 the stream   2 its meta hash
-- Returns { epoch ('' = none), first id ('' = empty), last-generated id, entries added, length }, or nothing when
-- there is no such stream.
if redis.call('TYPE', KEYS[1]).ok ~= 'stream' then return {} end
local epoch = redis.call('TYPE', KEYS[2]).ok == 'hash' and redis.call('HGET', KEYS[2], 'epoch') or ''
local first, last, added, length = '', '0-0', 0, 0
local info = redis.call('XINFO', 'STREAM', KEYS[1])
for i = 1, #info, 2 do
  local name, value = info[i], info[i + 1]
  if name == 'last-generated-id' then last = value
  elseif name == 'entries-added' then added = value
  elseif name == 'length' then length = value
  elseif name == 'first-entry' and value then first = value[1]
  end
end
return { epoch, first, last, tostring(added), tostring(length) }
