-- What a stream and its meta hold, without payloads: a reader asks before and after it reads entries, and
-- equal answers prove that nothing came between. (MULTI would do that too, but Redis refuses it when full.)
--
-- KEYS 1 the stream   2 its meta hash
-- ARGV 1 the reader's cursor
-- Returns { epoch, from, tip in meta, n in meta, mean payload, largest payload ('' = not there),
--           last-generated id, entries added, length, first id ('' = empty), highest id ever deleted by name,
--           1 when the cursor's entry is there, the ordinal it bears ('' = none),
--           1 when the first or the last entry is Rivercast's, prior in meta }
local stream = KEYS[1]
local reply = {}
for i, value in ipairs(redis.call('HMGET', KEYS[2], 'epoch', 'from', 'tip', 'n', 'size', 'max')) do
  reply[i] = value or ''
end
local last, added, length, first, deleted, kept, n, ours = '0-0', 0, 0, '', '0-0', 0, '', 0
local largest = 0

-- An end of the stream: its fields tell whose it is, and how large entries are when meta does not.
local function examine(entry)
  local fields = entry[2]
  largest = math.max(largest, #(fields[2] or ''))
  for i = 1, #fields, 2 do
    if fields[i] == 'p' then ours = 1 end
    if fields[i] == 'data' then largest = math.max(largest, #fields[i + 1]) end
  end
end

-- Somebody else's entry may have a field n too, but hardly all three.
local function ordinalOf(fields)
  local own = {}
  for i = 1, #fields, 2 do own[fields[i]] = fields[i + 1] end
  return own.data and own.p and own.n and string.match(own.n, '^%d+$') or ''
end

if redis.call('EXISTS', stream) == 1 then
  local info = redis.call('XINFO', 'STREAM', stream)
  for i = 1, #info, 2 do
    local name, value = info[i], info[i + 1]
    if name == 'last-generated-id' then last = value
    elseif name == 'entries-added' then added = value
    elseif name == 'length' then length = value
    elseif name == 'max-deleted-entry-id' then deleted = value
    elseif name == 'first-entry' and value then
      first = value[1]
      examine(value)
    elseif name == 'last-entry' and value then examine(value)
    end
  end
  local entry = ARGV[1] ~= '0-0' and redis.call('XRANGE', stream, ARGV[1], ARGV[1])[1]
  if entry then
    kept = 1
    n = ordinalOf(entry[2])
  end
end
if reply[5] == '' then reply[5] = largest / 2 end
reply[6] = math.max(largest, tonumber(reply[6]) or 0)
reply[5], reply[6] = tostring(reply[5]), tostring(reply[6])
local prior = redis.call('HGET', KEYS[2], 'prior') or ''
for _, value in ipairs({ last, added, length, first, deleted, kept, n, ours, prior }) do
  reply[#reply + 1] = tostring(value)
end
return reply
