"""What runs inside Redis: each script compares the fencing number before it writes."""

from typing import Final

FENCED: Final = b"fenced"
MOVED: Final = b"moved"
FULL: Final = b"full"
SHORT: Final = b"short"
DONE: Final = b"done"

_GENERATION: Final = r"string.match(head, '^(%d+%.%d+)\n')"
_PART: Final = """
local function part(key, from, to)
  local found = redis.pcall('GETRANGE', key, from, to)
  return type(found) == 'string' and found or ''
end
local function size(key)
  local found = redis.pcall('STRLEN', key)
  return type(found) == 'number' and found or 0
end
"""

LOAD: Final = f"""{_PART}
local head = part(KEYS[1], 0, ARGV[2] - 1)
local generation = {_GENERATION}
if not generation then return {{head}} end
local data, events = ARGV[1] .. generation .. ':data', ARGV[1] .. generation .. ':events'
local to = ARGV[3] - 1
return {{head, size(data), part(data, 0, to), size(events), part(events, 0, to)}}
"""
"""Keys: head. Arguments: base of the keys, most bytes of the head, most bytes of each part.

What is small comes whole, in one answer."""

APPEND: Final = f"""{_PART}
if part(KEYS[1], 0, 63) ~= ARGV[1] then return 'fenced' end
local head = part(KEYS[2], 0, 63)
if {_GENERATION} ~= ARGV[2] then return 'moved' end
if size(KEYS[3]) + #ARGV[3] > tonumber(ARGV[4]) then return 'full' end
redis.call('APPEND', KEYS[3], ARGV[3])
for i = 2, 4 do redis.call('EXPIRE', KEYS[i], ARGV[5]) end
return 'done'
"""
"""Keys: fence, head, events, data. Arguments: fence, generation, frames, most bytes of all, seconds to keep."""

SWITCH: Final = f"""{_PART}
if part(KEYS[1], 0, 63) ~= ARGV[1] then return 'fenced' end
if size(KEYS[3]) ~= tonumber(ARGV[3]) or size(KEYS[4]) ~= tonumber(ARGV[4]) then return 'short' end
local head = part(KEYS[2], 0, 63)
local former = {_GENERATION}
redis.call('SET', KEYS[2], ARGV[2], 'EX', ARGV[5])
redis.call('EXPIRE', KEYS[3], ARGV[5])
redis.call('EXPIRE', KEYS[4], ARGV[5])
if former then
  redis.call('EXPIRE', ARGV[7] .. former .. ':data', ARGV[6])
  redis.call('EXPIRE', ARGV[7] .. former .. ':events', ARGV[6])
end
return 'done'
"""
"""Keys: fence, head, data, events. Arguments: fence, head, bytes of data, bytes of events, seconds to keep, seconds for
which who reads the former generation may still do so, base of the keys."""

ADOPT: Final = f"""{_PART}
if part(KEYS[1], 0, 63) ~= ARGV[1] then return 'fenced' end
local head = part(KEYS[2], 0, 63)
return {_GENERATION} or ''
"""
"""Keys: fence, head. Argument: fence. Answers with the generation that counts."""

_STAMPED: Final = r"""
local function stamp_of(key)
  local old = redis.pcall('GETRANGE', key, 0, 31)
  local stamp = type(old) == 'string' and tonumber(string.match(old, '^g(%d+)$'))
  return stamp and stamp < 1e14 and stamp or nil
end
"""

_HOLD: Final = f"""{_STAMPED}
local function hold(key, stamp, seconds)
  local value = string.format('g%d', math.max(stamp, stamp_of(key) or 0))
  local left = redis.call('PTTL', key)
  if left == -1 or left >= seconds * 1000 then
    redis.call('SET', key, value, 'KEEPTTL')
  else
    redis.call('SET', key, value, 'EX', seconds)
  end
end
"""

PUT: Final = f"""{_PART}{_HOLD}
if part(KEYS[1], 0, 63) ~= ARGV[1] then return 'fenced' end
local stamp, prefix, long = tonumber(ARGV[2]), ARGV[3], string.rep('%02x', 8)
for i = 4, #ARGV, 2 do
  local seconds, packed = tonumber(ARGV[i]), ARGV[i + 1]
  for at = 1, #packed, 8 do
    local digits = string.format(long, string.byte(packed, at, at + 7))
    hold(prefix .. string.sub(digits, 1, 8), stamp, seconds)
    hold(prefix .. digits, stamp, seconds)
  end
end
return 'done'
"""
"""Keys: fence. Arguments: fence, stamp, prefix, then pairs: seconds to live, packed digests. For one server."""

PUT_ONE: Final = f"""{_HOLD}
hold(KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2]))
return 'done'
"""
"""Keys: one entry. Arguments: stamp, seconds to live. For a cluster, where the fence lies elsewhere: there the stamp
in each entry keeps a writer who was paused from removing what another has put there since."""

DROP: Final = f"""{_PART}{_STAMPED}
if part(KEYS[1], 0, 63) ~= ARGV[1] then return 'fenced' end
local removed = 0
for i = 2, #KEYS do
  local stamp = stamp_of(KEYS[i])
  if stamp and stamp <= tonumber(ARGV[2]) then removed = removed + redis.call('DEL', KEYS[i]) end
end
return removed
"""
"""Keys: fence, entries. Arguments: fence, newest stamp to remove. Answers with how many it removed. For one server."""

SWEEP: Final = f"""{_PART}{_STAMPED}
if part(KEYS[1], 0, 63) ~= ARGV[1] then return 'fenced' end
local page, removed = redis.call('SCAN', ARGV[3], 'MATCH', ARGV[4] .. '*', 'COUNT', ARGV[5]), 0
for _, key in ipairs(page[2]) do
  local digits = string.sub(key, #ARGV[4] + 1)
  if (#digits == 8 or #digits == 16) and string.match(digits, '^[0-9a-f]+$') then
    local stamp = stamp_of(key)
    if stamp and stamp <= tonumber(ARGV[2]) then removed = removed + redis.call('DEL', key) end
  end
end
return {{page[1], removed}}
"""
"""Keys: fence. Arguments: fence, newest stamp to remove, cursor, prefix of entries, keys to look at. Answers with the
next cursor, and how many it removed. For one server."""

DROP_ONE: Final = f"""{_STAMPED}
local stamp = stamp_of(KEYS[1])
if stamp and stamp <= tonumber(ARGV[1]) then return redis.call('DEL', KEYS[1]) end
return 0
"""
"""Keys: one entry. Argument: newest stamp to remove. Answers with how many it removed. For a cluster."""

NEXT_LISTING: Final = f"""{_PART}
if part(KEYS[1], 0, 63) ~= ARGV[1] then return 'fenced' end
local last = tonumber(string.match(part(KEYS[2], 0, 31), '^%d+$') or 0)
if last >= 1e14 then last = 0 end
local now = redis.call('TIME')
local stamp = math.max(last, now[1] * 1000 + math.floor(now[2] / 1000)) + 1
redis.call('SET', KEYS[2], string.format('%d', stamp), 'EX', ARGV[2])
return string.format('%d', stamp)
"""
"""Keys: fence, listing. Arguments: fence, seconds to keep. Answers with a stamp larger than all before it."""

SAME_LISTING: Final = f"""{_PART}
if part(KEYS[1], 0, 63) ~= ARGV[1] then return 'fenced' end
if part(KEYS[2], 0, 31) ~= ARGV[2] then return 'moved' end
redis.call('EXPIRE', KEYS[2], ARGV[3])
return 'done'
"""
"""Keys: fence, listing. Arguments: fence, stamp, seconds to keep. Whether the entries are still those that we put."""

CLAIM: Final = f"""{_PART}
local owner = part(KEYS[1], 0, 4095)
if owner ~= '' and owner ~= ARGV[1] then return owner end
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
return ARGV[1]
"""
"""Keys: issuer of the deny-list. Arguments: issuer, seconds to keep. Answers with whose it is."""
