-- Writes or deletes some keys, each only if the version that comes is not older
-- than the version that is there. All keys of a call are of one slot.
--
-- KEYS: for each record its key of the version, then its key.
-- ARGV: form ("s" or "h"), ms until a value expires ("0": never), ms until the
--   version of a key that has no value is forgotten; then for each record its
--   topic, its version (19 digits, so that text compares as numbers do; Lua's own
--   numbers are doubles, which cannot tell versions apart), how many texts follow,
--   and these: none for a delete; the document, or fields and values.
-- Answer: for each record 1 (written), 0 (older than what is there), -1 (the key
--   belongs to another topic), 2 (there was a value without a version: its age is
--   unknown, so it is deleted and the record written).
local hash, expire, forget = ARGV[1] == 'h', tonumber(ARGV[2]), tonumber(ARGV[3])
local answer, a = {}, 4
for k = 1, #KEYS, 2 do
  local guard, key = KEYS[k], KEYS[k + 1]
  local topic, version, n = ARGV[a], ARGV[a + 1], tonumber(ARGV[a + 2])
  local first = a + 3
  a = first + n
  local was = redis.call('GET', guard)
  local result = 1
  if was then
    if string.sub(was, 21) ~= topic then
      result = -1
    elseif string.sub(was, 1, 19) > version then
      result = 0
    end
  elseif redis.call('EXISTS', key) == 1 then
    redis.call('DEL', key)
    result = 2
  end
  if result > 0 then
    if n == 0 then
      redis.call('DEL', key)
      redis.call('SET', guard, version .. ' ' .. topic, 'PX', forget)
    elseif hash then
      redis.call('DEL', key)
      for f = first, a - 1, 1000 do -- unpack has a limit
        redis.call('HSET', key, unpack(ARGV, f, math.min(f + 999, a - 1)))
      end
      if expire > 0 then
        redis.call('PEXPIRE', key, expire)
        redis.call('SET', guard, version .. ' ' .. topic, 'PX', expire + forget)
      else
        redis.call('SET', guard, version .. ' ' .. topic)
      end
    elseif expire > 0 then
      redis.call('SET', key, ARGV[first], 'PX', expire)
      redis.call('SET', guard, version .. ' ' .. topic, 'PX', expire + forget)
    else
      redis.call('SET', key, ARGV[first])
      redis.call('SET', guard, version .. ' ' .. topic)
    end
  end
  answer[#answer + 1] = result
end
return answer
