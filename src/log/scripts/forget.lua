-- Forgets the keys that were known for long enough, where no append does it because none comes.
--
-- KEYS 1 the stream's meta hash   2 what the names of the generations begin with
-- ARGV 1 for how many ms a key is known at least
-- Returns in how many ms there will be something to forget; -1 when no keys are left.
local meta, generation = KEYS[1], KEYS[2]
local time = redis.call('TIME')
local nowMs = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local lifeMs = tonumber(ARGV[1]) * 4 / 3 + 1
local listed = redis.call('HGET', meta, 'keys')
if not listed then return -1 end

local kept, nextMs = {}, -1
for name in string.gmatch(listed, '%d+') do
  local leftMs = tonumber(name) + lifeMs - nowMs
  if leftMs < 0 or redis.call('EXISTS', generation .. name) == 0 then
    redis.call('UNLINK', generation .. name)
  else
    kept[#kept + 1] = name
    if nextMs < 0 or leftMs < nextMs then nextMs = leftMs end
  end
end
if #kept == 0 then redis.call('HDEL', meta, 'keys')
else redis.call('HSET', meta, 'keys', table.concat(kept, ' '))
end
return math.ceil(nextMs)
