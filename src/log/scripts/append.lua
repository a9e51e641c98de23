-- Appends one batch to a stream: all of it or nothing, and once, however often it is sent.
--
-- KEYS 1 the stream
--      2 its meta hash: epoch, from, prior (the epochs before it that it goes on from), tip, n,
--        size (mean payload), max (largest payload), keys (generations)
--      3 this writer's last batch: "<number> <ordinal of its last entry> <ids>"
--      4 what the names of the generations begin with
-- ARGV 1 the batch's number, rising per writer
--      2 the epoch to begin when there is none, or when history was lost
--      3 the epoch this writer knows, or ''   4 the highest id it knows of in that epoch
--      5 max entries, 6 max bytes, 7 max age in ms ('' = unbounded)
--      8 payload bytes in all   9 the largest payload
--     10 a letter per entry: t text, j json, b binary; a capital when it has a key
--     11 for how many ms a key is known at least   12 how many keys are known at least, the newest
--     13 how long to keep the stream without new entries, in ms ('' = for ever)
--     14... the payloads, then the keys of the entries that have one
-- Returns { ids, epoch ('' when nothing was stored now), ordinal of the last entry, what went wrong after the
--      entries were stored or '', how many keys were forgotten before their time }.
--      ids is "<first>+<count>" when they count on from the first, else all of them, space-separated; then,
--      when there are duplicates, "|" and "<position>:<id of the first>" of each, space-separated.
-- Fails with STALE when a later batch of this writer is stored already.
--
-- Keys lie in generations: hashes from key to id, named by the time they began, which meta lists. One takes
-- keys for a third of the time they are known, or half of their number, and is forgotten as a whole.
--
-- Nothing is written before the first XADD, and nothing after it may fail the script: a caller that sees an
-- error sends the same batch again. Whatever is answered, something was written: WAIT waits for that.
local stream, meta, batch, generation = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local number = tonumber(ARGV[1])
local FIRST_PAYLOAD = 14
local BATCH_TTL_MS = 3600000
-- Characters, of an epoch's name 12 or so.
local MAX_PRIOR = 250
-- Lua's unpack has a limit, and long argument lists cost memory.
local CHUNK = 500

local function isBefore(a, b)
  local aMs, aSeq = string.match(a, '^(%d+)%-(%d+)$')
  local bMs, bSeq = string.match(b, '^(%d+)%-(%d+)$')
  if #aMs ~= #bMs then return #aMs < #bMs end
  if aMs ~= bMs then return aMs < bMs end
  if #aSeq ~= #bSeq then return #aSeq < #bSeq end
  return aSeq < bSeq
end

-- The id that an entry of ours follows; nil for somebody else's.
local function prevOf(entry)
  for i = 1, #entry[2], 2 do
    if entry[2][i] == 'p' then return entry[2][i + 1] end
  end
end

local before = redis.call('GET', batch)
local state = redis.call('HMGET', meta, 'epoch', 'from', 'tip', 'n', 'size', 'max', 'prior')
local epoch, tip = state[1], state[3] or '0-0'
if before then
  local lastNumber, ordinal, ids = string.match(before, '^(%d+) (%d+) (.*)$')
  if tonumber(lastNumber) == number then
    redis.call('PEXPIRE', batch, BATCH_TTL_MS)
    return { ids, '', tonumber(ordinal), '', 0 }
  end
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
      hasOurs = hasOurs or prevOf(value) ~= nil
    elseif name == 'last-entry' and value then hasOurs = hasOurs or prevOf(value) ~= nil
    end
  end
end

local from, prior = nil, ''
if not epoch then
  from = last
else
  local known = tip
  if ARGV[3] == epoch and isBefore(known, ARGV[4]) then known = ARGV[4] end
  local metaIsAhead = isBefore(last, tip) or added < tonumber(state[4] or 0)
  -- Somebody else made the stream anew: all it holds belongs to the new epoch.
  if metaIsAhead and length > 0 and not hasOurs then from = '0-0'
  elseif isBefore(last, known) then
    from = last
    -- The newest entries are lost; what is there is what it was.
    if length > 0 then prior = (state[7] or '') .. ' ' .. epoch end
    if #prior > MAX_PRIOR then prior = string.sub(prior, (string.find(prior, ' ', -MAX_PRIOR, true) or 0) + 1) end
  elseif metaIsAhead then
    -- The place that the next entry follows: whoever resumes there is told no other gap (redis/fork.ts).
    local next = known ~= last and redis.call('XRANGE', stream, '(' .. known, '+', 'COUNT', 1)[1]
    local kept = redis.call('XREVRANGE', stream, known, '-', 'COUNT', 1)[1]
    from = not next and last or prevOf(next) or kept and kept[1] or known
  end
end

local types = ARGV[10]
local count = #types
local bytes, largest = tonumber(ARGV[8]), tonumber(ARGV[9])
local windowMs, maxKeys = tonumber(ARGV[11]), tonumber(ARGV[12])
local firstKey = FIRST_PAYLOAD + count
local hasKeys = #ARGV >= firstKey
local time = redis.call('TIME')
local nowMs = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)

local generations, keyOf, duplicates = nil, nil, nil
-- Which entries are to be stored; nil when all are.
local order = nil

-- Made only for those who have keys: what is made costs time.
local isPast, nameOf

if hasKeys then
  function isPast(start)
    return nowMs - start > windowMs * 4 / 3 + 1
  end

  function nameOf(start)
    return generation .. string.format('%.0f', start)
  end

  local function knownKeys()
    local known = {}
    for g = #generations, 1, -1 do
      for from = isPast(generations[g]) and math.huge or firstKey, #ARGV, CHUNK do
        local found = redis.call('HMGET', nameOf(generations[g]), unpack(ARGV, from, math.min(from + CHUNK - 1, #ARGV)))
        for i = 1, #found do
          local key = ARGV[from + i - 1]
          known[key] = known[key] or found[i] or nil
        end
      end
    end
    return known
  end

  generations, keyOf = {}, {}
  for start in string.gmatch(redis.call('HGET', meta, 'keys') or '', '%d+') do
    generations[#generations + 1] = tonumber(start)
  end
  local firsts, at = knownKeys(), firstKey
  order, duplicates, bytes, largest = {}, {}, 0, 0
  for i = 1, count do
    local key = nil
    if string.byte(types, i) < 97 then
      key, at = ARGV[at], at + 1
      keyOf[i] = key
    end
    if key and firsts[key] then
      duplicates[#duplicates + 1] = { i, firsts[key] }
    else
      order[#order + 1] = i
      -- Where the first with this key is among those that are stored.
      if key then firsts[key] = #order end
      local size = #ARGV[FIRST_PAYLOAD + i - 1]
      bytes, largest = bytes + size, math.max(largest, size)
    end
  end
  count = #order
end

local prev, n = last, added
local ids = {}

local function add(id, position)
  local i = order and order[position] or position
  local kind = string.byte(types, i)
  if kind < 97 then kind = kind + 32 end
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

local function told(list)
  if not duplicates or #duplicates == 0 then return list end
  local named = {}
  for d, duplicate in ipairs(duplicates) do
    named[d] = duplicate[1] .. ':' .. (ids[duplicate[2]] or duplicate[2])
  end
  return list .. '|' .. table.concat(named, ' ')
end

if count == 0 then
  local list = told('')
  -- Not shielded: nothing is written yet, and a server that refuses this must not answer for others.
  redis.call('SET', batch, string.format('%.0f %.0f %s', number, n, list), 'PX', BATCH_TTL_MS)
  return { list, '', n, '', 0 }
end

-- The ids of a batch count on from its first, so the reply need not name them; unless a foreign id left so
-- little room in the sequence that it could overflow, where Redis must choose each.
ids[1] = add('*', 1)
local ms, seq = string.match(ids[1], '^(%d+)%-(%d+)$')
local isCounting = #seq < 15
local following = isCounting and ms .. '-*' or '*'
if isCounting and not order and not string.find(types, '[^t]') then
  -- Nothing but texts without keys: as above, without looking at each, and with the ordinal's text made here, which
  -- Redis is slow at. Takes a tenth less of the time that a batch takes in all (measured: 500 entries of 128 B).
  local DIGITS = { [0] = '0', '1', '2', '3', '4', '5', '6', '7', '8', '9' }
  local call, payloads, tens = redis.call, ARGV, nil
  for i = FIRST_PAYLOAD + 1, FIRST_PAYLOAD + count - 1 do
    n = n + 1
    local digit = n % 10
    if digit == 0 or not tens then tens = n < 10 and '' or string.format('%.0f', (n - digit) / 10) end
    prev = call('XADD', stream, following, 'data', payloads[i], 'p', prev, 'n', tens .. DIGITS[digit])
  end
else
  for i = 2, count do ids[i] = add(following, i) end
end
local list = told(isCounting and ids[1] .. '+' .. count or table.concat(ids, ' '))

local trouble = ''
-- The reply; nil when it failed.
local function try(...)
  local reply = redis.pcall(...)
  if type(reply) ~= 'table' or not reply.err then return reply end
  if trouble == '' then trouble = (...) .. ': ' .. reply.err end
end

local size = (tonumber(state[5] or 0) * length + bytes) / (length + count)
local max = math.max(tonumber(state[6] or 0), largest)
if from then
  epoch = ARGV[2]
  try('HSET', meta, 'epoch', epoch, 'from', from, 'prior', prior, 'tip', prev, 'n', n, 'size', size, 'max', max)
else
  try('HSET', meta, 'tip', prev, 'n', n, 'size', size, 'max', max)
end
try('SET', batch, string.format('%.0f %.0f %s', number, n, list), 'PX', BATCH_TTL_MS)

local forgotten = 0
if hasKeys then
  -- Begins a generation when the newest has had its share; forgets those whose keys are known for long enough,
  -- and those that are not needed to know the newest `maxKeys`. Returns how many keys that forgets early.
  local function rotate()
    local newest = generations[#generations]
    local age = newest and nowMs - newest
    -- Names are times: a second one within a millisecond has to wait. A clock that was set back begins anew.
    if age == 0 then return 0 end
    if age and age > 0 and age < windowMs / 3 and (try('HLEN', nameOf(newest)) or 0) < maxKeys / 2 then return 0 end
    local start, kept, known, early = nowMs, {}, 0, 0
    for g = #generations, 1, -1 do
      local size = try('HLEN', nameOf(generations[g])) or 0
      if start == generations[g] then start = start + 1 end
      if isPast(generations[g]) or known >= maxKeys then
        if not isPast(generations[g]) then early = early + size end
        try('UNLINK', nameOf(generations[g]))
      else
        known = known + size
        table.insert(kept, 1, generations[g])
      end
    end
    kept[#kept + 1] = start
    generations = kept
    for g, time in ipairs(kept) do kept[g] = string.format('%.0f', time) end
    try('HSET', meta, 'keys', table.concat(kept, ' '))
    return early
  end

  local function remember()
    local early = rotate()
    local name = generation .. string.format('%.0f', generations[#generations])
    local isNew = try('EXISTS', name) == 0
    local fields = {}
    for position = 1, count do
      local key = keyOf[order[position]]
      if key then
        fields[#fields + 1] = key
        fields[#fields + 1] = ids[position]
      end
      if #fields >= CHUNK or (position == count and #fields > 0) then
        try('HSET', name, unpack(fields))
        fields = {}
      end
    end
    -- Where no more keys come nobody rotates: then it goes by itself.
    if isNew then try('PEXPIRE', name, string.format('%.0f', windowMs * 3 / 2)) end
    return early
  end

  forgotten = remember()
end

local keep = tonumber(ARGV[5]) or math.huge
if ARGV[6] ~= '' then keep = math.min(keep, math.max(1, math.floor(tonumber(ARGV[6]) / math.max(size, 1)))) end
if length + count > keep then try('XTRIM', stream, 'MAXLEN', '~', string.format('%.0f', keep)) end
local maxAgeMs = tonumber(ARGV[7])
if maxAgeMs and oldestMs and oldestMs < nowMs - maxAgeMs then
  try('XTRIM', stream, 'MINID', '~', string.format('%.0f', nowMs - maxAgeMs))
end

-- Stream and meta are forgotten at the same moment, which is moved on when it is off by a thirtieth (sweep.lua).
local forgetAfterMs = tonumber(ARGV[13])
if forgetAfterMs then
  local forgetMs = nowMs + forgetAfterMs
  local expiresMs = try('PEXPIRETIME', stream)
  if expiresMs and expiresMs < forgetMs - forgetAfterMs / 30 then
    try('PEXPIREAT', stream, string.format('%.0f', forgetMs))
    try('PEXPIREAT', meta, string.format('%.0f', forgetMs))
  end
end
return { list, epoch, n, trouble, forgotten }
