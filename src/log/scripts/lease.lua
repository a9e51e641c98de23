-- Extends or gives back what only its holder may.
--
-- KEYS 1 the lease
-- ARGV 1 the holder's random token   2 for how many ms from now; 0 to give it back
-- Returns 1 when it was the holder's.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if ARGV[2] == '0' then return redis.call('UNLINK', KEYS[1]) end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
