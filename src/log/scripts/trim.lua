-- Removes the oldest entries of a stream, exactly; creates nothing.
--
-- KEYS 1 the stream   2 its meta hash
-- ARGV 1 max entries, 2 max bytes, 3 max age in ms, 4 the first id to keep ('' = no such bound)
-- Returns how many entries were removed. Bytes are reckoned by the mean payload, which meta keeps.
local stream = KEYS[1]
if redis.call('EXISTS', stream) == 0 then return 0 end
local removed = 0
local keep = tonumber(ARGV[1])
if ARGV[2] ~= '' then
  local size = tonumber(redis.call('HGET', KEYS[2], 'size') or 0)
  if size > 0 then keep = math.min(keep or math.huge, math.floor(tonumber(ARGV[2]) / size)) end
end
if keep then removed = removed + redis.call('XTRIM', stream, 'MAXLEN', '=', string.format('%.0f', keep)) end
if ARGV[3] ~= '' then
  local now = redis.call('TIME')
  local oldest = tonumber(now[1]) * 1000 + math.floor(tonumber(now[2]) / 1000) - tonumber(ARGV[3])
  if oldest > 0 then removed = removed + redis.call('XTRIM', stream, 'MINID', '=', string.format('%.0f', oldest)) end
end
if ARGV[4] ~= '' then removed = removed + redis.call('XTRIM', stream, 'MINID', '=', ARGV[4]) end
return removed
