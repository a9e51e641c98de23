-- Appends one batch to a stream: all of it or nothing, and once, however often it is sent.
--
-- KEYS 1 the stream
--      2 its meta hash: epoch, from, tip, n, size (mean payload), max (largest payload)
--      3 this writer's last batch: "<number> <ordinal of its last entry> <ids>"
-- ARGV 1 the batch's number, rising per writer
--      2 the epoch to begin when there is none, or when history was lost
--      3 the epoch this writer knows, or ''   4 the highest id it knows of in that epoch
--      5 max entries, 6 max bytes, 7 max age in ms ('' = unbounded)
--      8 payload bytes in all   9 the largest payload
--     10 a letter per entry: t text, j json, b binary   11... the payloads
-- Returns { ids, epoch ('' when it is a repetition), ordinal of the last entry, what went wrong after the
--      entries were stored or '' }.
--      ids is "<first>+<count>" when they count on from the first, else all of them, space-separated.
-- Fails with STALE when a later batch of this writer is stored already.
--
-- Nothing is written before the first XADD, and nothing after it may fail the script: a caller that sees an
-- error sends the same batch again.
local stream, meta, batch = KEYS[1], KEYS[2], KEYS[3]
local number = tonumber(ARGV[1])
local FIRST_PAYLOAD = 11
local BATCH_TTL_MS = 3600000

local function isBefore(a, b)
  local aMs, aSeq = string.match(a, '^(%d+)%-(%d+)$')
  local bMs, bSeq = string.match(b, '^(%d+)%-(%d+)$')
  if #aMs ~= #bMs then return #aMs < #bMs end
  if aMs ~= bMs then return aMs < bMs end
  if #aSeq ~= #bSeq then return #aSeq < #bSeq end
  return aSeq < bSeq
end

local function isOurs(entry)
  for i = 1, #entry[2], 2 do
    if entry[2][i] == 'p' then return true end
  end
  return false
end

local before = redis.call('GET', batch)
local state = redis.call('HMGET', meta, 'epoch', 'from', 'tip', 'n', 'size', 'max')
local epoch, tip = state[1], state[3] or '0-0'
if before then
  local lastNumber, ordinal, ids = string.match(before, '^(%d+) (%d+) (.*)$')
  if tonumber(lastNumber) == number then return { ids, '', tonumber(ordinal), '' } end
  if tonumber(lastNumber) > number then return redis.error_reply('STALE a later batch of this writer is stored') end
end

local last, added, length, oldestMs, hasOurs = '0-0', 0, 0, nil, false
if redis.call('EXISTS', stream) == 1 then
  local info = redis.call('XINFO', 'STREAM', stream)
  for i = 1, #info, 2 do
    local name, value = info[i], info[i + 1]
    if name == 'last-generated-id' then last = value
    elseif name == 'entries-added' then added = value
    elseif name == 'length' then length = value
    elseif name == 'first-entry' and value then
      oldestMs = tonumber(string.match(value[1], '^%d+'))
      hasOurs = hasOurs or isOurs(value)
    elseif name == 'last-entry' and value then hasOurs = hasOurs or isOurs(value)
    end
  end
end

local from = nil
if not epoch then
  from = last
else
  local known = tip
  if ARGV[3] == epoch and isBefore(known, ARGV[4]) then known = ARGV[4] end
  local metaIsAhead = isBefore(last, tip) or added < tonumber(state[4] or 0)
  -- Somebody else made the stream anew: all it holds belongs to the new epoch.
  if metaIsAhead and length > 0 and not hasOurs then from = '0-0'
  elseif isBefore(last, known) then from = last
  elseif metaIsAhead then from = known
  end
end

local count = #ARGV - FIRST_PAYLOAD + 1
local types = ARGV[10]
local prev, n = last, added
local ids = {}
local time = redis.call('TIME')
local nowMs = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)

local function add(id, i)
  local kind = string.byte(types, i)
  n = n + 1
  local data = ARGV[FIRST_PAYLOAD + i - 1]
  if kind == 116 then
    prev = redis.call('XADD', stream, id, 'data', data, 'p', prev, 'n', n)
  else
    local name = kind == 106 and 'json' or 'binary'
    prev = redis.call('XADD', stream, id, 'data', data, 'type', name, 'p', prev, 'n', n)
  end
  return prev
end

-- The ids of a batch count on from its first, so the reply need not name them; unless a foreign id left so
-- little room in the sequence that it could overflow, where Redis must choose each.
ids[1] = add('*', 1)
local ms, seq = string.match(ids[1], '^(%d+)%-(%d+)$')
if #seq < 15 then
  local following = ms .. '-*'
  for i = 2, count do add(following, i) end
  ids = ids[1] .. '+' .. count
else
  for i = 2, count do ids[i] = add('*', i) end
  ids = table.concat(ids, ' ')
end

local trouble = ''
local function try(...)
  local reply = redis.pcall(...)
  if type(reply) == 'table' and reply.err and trouble == '' then trouble = reply.err end
end

local size = (tonumber(state[5] or 0) * length + tonumber(ARGV[8])) / (length + count)
local max = math.max(tonumber(state[6] or 0), tonumber(ARGV[9]))
if from then
  epoch = ARGV[2]
  try('HSET', meta, 'epoch', epoch, 'from', from, 'tip', prev, 'n', n, 'size', size, 'max', max)
else
  try('HSET', meta, 'tip', prev, 'n', n, 'size', size, 'max', max)
end
try('SET', batch, string.format('%.0f %.0f %s', number, n, ids), 'PX', BATCH_TTL_MS)

local keep = tonumber(ARGV[5]) or math.huge
if ARGV[6] ~= '' then keep = math.min(keep, math.max(1, math.floor(tonumber(ARGV[6]) / math.max(size, 1)))) end
if length + count > keep then try('XTRIM', stream, 'MAXLEN', '~', string.format('%.0f', keep)) end
if ARGV[7] ~= '' and oldestMs then
  local oldest = nowMs - tonumber(ARGV[7])
  if oldestMs < oldest then try('XTRIM', stream, 'MINID', '~', string.format('%.0f', oldest)) end
end
return { ids, epoch, n, trouble }
