-- Begins a new epoch, unless another server has done so already.
--
-- KEYS 1 the stream   2 its meta hash
-- ARGV 1 the epoch in which the loss was seen ('' = none)   2 the new epoch   3 the id after which it begins
--      4 the epochs before it that it goes on from, space-separated
-- Returns the epoch that holds now.
local epoch = redis.call('HGET', KEYS[2], 'epoch') or ''
if epoch ~= ARGV[1] then return epoch end
local tip, added = '0-0', 0
if redis.call('EXISTS', KEYS[1]) == 1 then
  local info = redis.call('XINFO', 'STREAM', KEYS[1])
  for i = 1, #info, 2 do
    if info[i] == 'last-generated-id' then tip = info[i + 1]
    elseif info[i] == 'entries-added' then added = info[i + 1]
    end
  end
end
redis.call('HSET', KEYS[2], 'epoch', ARGV[2], 'from', ARGV[3], 'prior', ARGV[4], 'tip', tip, 'n', added)
return ARGV[2]
