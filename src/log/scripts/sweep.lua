-- Applies retention to a stream that nobody may be appending to, and says when it is to be forgotten: the stream
-- and its meta expire at the same moment, some time after the last entry, whoever added it. A stream that
-- Rivercast never wrote to is left alone, so is a key of another type.
--
-- KEYS 1 the stream   2 its meta hash
-- ARGV 1 max entries, 2 max bytes, 3 max age in ms ('' = unbounded)
--      4 how long to keep a stream without new entries, in ms ('' = for ever)
--      5 how many entries may be removed at once
-- Returns { what there is ('kept', 'foreign' or 'gone'), entries removed, 1 when there may be more to remove }.
-- By age the removal is exact, down to an empty stream, which stays; by the other bounds it is of whole nodes, as
-- at an append, and leaves one entry.
local stream, meta = KEYS[1], KEYS[2]
local time = redis.call('TIME')
local nowMs = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local forgetAfterMs = tonumber(ARGV[4])

local function whole(number) return string.format('%.0f', number) end

local kind = redis.call('TYPE', stream).ok
if kind == 'none' then
  if forgetAfterMs and redis.call('PTTL', meta) == -1 then
    redis.call('PEXPIREAT', meta, whole(nowMs + forgetAfterMs))
  end
  return { 'gone', 0, 0 }
end
if kind ~= 'stream' or redis.call('TYPE', meta).ok ~= 'hash' then return { 'foreign', 0, 0 } end
local state = redis.call('HMGET', meta, 'epoch', 'size')
if not state[1] then return { 'foreign', 0, 0 } end

local last = '0-0'
local info = redis.call('XINFO', 'STREAM', stream)
for i = 1, #info, 2 do
  if info[i] == 'last-generated-id' then last = info[i + 1] end
end

-- Puts off or sets the moment at which stream and meta go; returns whether it is past.
local function forget()
  local lastMs = tonumber(string.match(last, '^%d+'))
  local forgetMs = math.min(lastMs, nowMs) + forgetAfterMs
  local expiresMs = redis.call('PEXPIRETIME', stream)
  local isSame = expiresMs > 0 and expiresMs == redis.call('PEXPIRETIME', meta)
  -- An id ahead of the clock does not tell when its entry came: what was said first stays said.
  if isSame and (lastMs > nowMs or math.abs(expiresMs - forgetMs) <= forgetAfterMs / 30) then return false end
  redis.call('PEXPIREAT', stream, whole(forgetMs))
  redis.call('PEXPIREAT', meta, whole(forgetMs))
  return forgetMs <= nowMs
end

if forgetAfterMs and forget() then return { 'gone', 0, 0 } end

local removed, more = 0, 0
local function trimNodes(bound, value)
  local count = redis.call('XTRIM', stream, bound, '~', whole(value), 'LIMIT', ARGV[5])
  removed = removed + count
  if count > 0 then more = 1 end
  return count
end

local keep = tonumber(ARGV[1]) or math.huge
local size = tonumber(state[2] or 0)
if ARGV[2] ~= '' then keep = math.min(keep, math.max(1, math.floor(tonumber(ARGV[2]) / math.max(size, 1)))) end
if redis.call('XLEN', stream) > keep then trimNodes('MAXLEN', keep) end
if ARGV[3] ~= '' then
  local oldestMs = nowMs - tonumber(ARGV[3])
  if oldestMs > 0 and trimNodes('MINID', oldestMs) == 0 then
    removed = removed + redis.call('XTRIM', stream, 'MINID', '=', whole(oldestMs))
  end
end
return { 'kept', removed, more }
