-- One step of a walk backwards through a stream, without its payloads.
--
-- KEYS 1 the stream
-- ARGV 1 where to begin: '+', an id, or '(' and an id   2 how many entries to pass at most
-- Returns { entries passed, id of the oldest of them, its p or '', its n or '' }; { 0 } when there is none.
local entries = redis.call('XREVRANGE', KEYS[1], ARGV[1], '-', 'COUNT', ARGV[2])
local oldest = entries[#entries]
if not oldest then return { 0 } end
local p, n = '', ''
for i = 1, #oldest[2], 2 do
  if oldest[2][i] == 'p' then p = oldest[2][i + 1]
  elseif oldest[2][i] == 'n' then n = oldest[2][i + 1]
  end
end
return { #entries, oldest[1], p, n }
