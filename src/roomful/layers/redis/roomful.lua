-- What the server does for Roomful, atomically: numbers, keeps, remembers and publishes.
--
-- A room is a hash `m`:
--   i  which run of which server has numbered last      e  epoch
--   t  offset of the last event                         l  earlier epochs and their last offsets, "e1:95 e2:120"
--   k  what is kept, "events bytes ttl_ms" or ""        c  bytes that were ever kept in this stream
--   x  when the room expires, in ms
-- and a stream `s` of what is kept: <offset>-0, p payload, x when it expires, c value of c with this event.
-- All keys of a room have one hash tag, so they lie in one slot.

local IDENTITY

-- A restart gives another run_id, a promotion another master_replid. Reading them costs more than a push, so they are
-- kept as long as this library stays loaded: a restart and a full synchronisation load it anew.
local function identity()
  if not IDENTITY then
    local run = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
    local replid = string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
    IDENTITY = string.sub(run, 1, 12) .. string.sub(replid or '', 1, 12)
  end
  return IDENTITY
end

local function int(number)
  return string.format('%.0f', number)
end

local function clock()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000), time
end

-- No two epochs have the same name, also where an old server comes back to numbers that it has issued before.
local function epoch_name(time)
  return string.format('%x%05x', time[1], time[2]) .. string.sub(identity(), 1, 4)
end

local function add_lineage(lineage, epoch, top)
  local segments = {}
  for segment in string.gmatch(lineage, '%S+') do
    segments[#segments + 1] = segment
  end
  segments[#segments + 1] = epoch .. ':' .. int(top)
  return table.concat(segments, ' ', math.max(1, #segments - 15))
end

-- Reads a room, or begins it. Offsets go on where they stood; what this server has not numbered is another epoch.
local function open(meta, stream)
  local m = redis.call('HMGET', meta, 'i', 'e', 't', 'l', 'k', 'c', 'x')
  local now, time = clock()
  local room = {
    e = m[2], t = tonumber(m[3] or 0), l = m[4] or '', k = m[5] or '', c = tonumber(m[6] or 0),
    x = tonumber(m[7] or 0), now = now, meta = meta, stream = stream,
  }
  if m[1] == identity() then
    return room
  end
  if not m[1] then
    if redis.call('EXISTS', meta) == 1 then
      return nil, redis.error_reply('FOREIGN data under the key ' .. meta)
    end
    redis.call('DEL', stream)
    room.k, room.c = '', 0
  else
    room.l = add_lineage(room.l, room.e, room.t)
    local last = redis.call('XREVRANGE', stream, '+', '-', 'COUNT', 1)[1]
    if last and tonumber(string.match(last[1], '^%d+')) > room.t then
      redis.call('DEL', stream)
    end
  end
  room.e, room.x = epoch_name(time), 0
  redis.call('HSET', meta, 'i', identity(), 'e', room.e, 't', int(room.t), 'l', room.l, 'k', room.k, 'c', room.c)
  return room
end

local function keep_alive(room, idle)
  local ttl = idle
  if room.k ~= '' then
    ttl = math.max(idle, tonumber(string.match(room.k, '%d+$')))
  end
  local expires = room.now + ttl
  if math.abs(expires - room.x) * 4 > ttl then
    room.x = expires
    redis.call('HSET', room.meta, 'x', int(expires))
    redis.call('PEXPIRE', room.meta, int(ttl))
    redis.call('PEXPIRE', room.stream, int(ttl))
  end
end

-- Drops what exceeds the number, the bytes or the age, the oldest first.
local function trim(room, events, bytes)
  if room.t > events then
    redis.call('XTRIM', room.stream, 'MINID', int(room.t - events + 1))
  end
  while true do
    local oldest = redis.call('XRANGE', room.stream, '-', '+', 'COUNT', 16)
    local drop = 0
    for _, entry in ipairs(oldest) do
      local fields = entry[2]
      if tonumber(fields[4]) > room.now and room.c - fields[6] + #fields[2] <= bytes then
        break
      end
      drop = drop + 1
    end
    if drop == 0 then
      return
    end
    redis.call('XTRIM', room.stream, 'MINID', int(string.match(oldest[drop][1], '^%d+') + 1))
  end
end

-- Numbers, keeps and publishes payloads; returns the offset of the first.
local function append(room, channel, payloads, keep, idle)
  local first = room.t + 1
  if keep == '=' then
    keep = room.k
  end
  if keep == '' then
    if room.k ~= '' then
      redis.call('DEL', room.stream)
      room.c = 0
    end
  else
    local events, bytes, ttl = string.match(keep, '^(%d+) (%d+) (%d+)$')
    local expires = int(room.now + ttl)
    for i, payload in ipairs(payloads) do
      room.c = room.c + #payload
      redis.call('XADD', room.stream, int(room.t + i) .. '-0', 'p', payload, 'x', expires, 'c', int(room.c))
    end
    room.t = room.t + #payloads
    trim(room, tonumber(events), tonumber(bytes))
  end
  room.t = first + #payloads - 1
  if room.k ~= keep then
    room.k, room.x = keep, 0
  end
  redis.call('HSET', room.meta, 't', int(room.t), 'k', keep, 'c', int(room.c))
  keep_alive(room, idle)
  local head = room.e .. ' ' .. int(first)
  if #payloads == 1 then
    redis.call('SPUBLISH', channel, head .. '\n' .. payloads[1])
  else
    local sizes = {head}
    for i, payload in ipairs(payloads) do
      sizes[i + 1] = #payload
    end
    redis.call('SPUBLISH', channel, table.concat(sizes, ' ') .. '\n' .. table.concat(payloads))
  end
  return first
end

-- KEYS meta stream memory-of-the-producer [memory-of-the-key]
-- ARGV channel since keep idle_ms memory_ms key_ms (number payload)…, the numbers ascending
-- Returns epoch, offset of the first new event, how many were known already, the offset of the last that is known, and
-- 1 where this very batch was known: then the offset is that of its first event.
local function publish(keys, args)
  local room, problem = open(keys[1], keys[2])
  if not room then
    return problem
  end
  local count = (#args - 6) / 2
  local known = 0
  local last_known = 0
  local memory = redis.call('GET', keys[3])
  if memory then
    local first, last, offset, size, epoch = string.match(memory, '^(%d+) (%d+) (%d+) (%d+) (%S+)$')
    offset = tonumber(offset)
    if args[7] == first and args[#args - 1] == last then
      return {epoch, offset, count, offset + size - 1, 1}
    end
    last, last_known = tonumber(last), offset + size - 1
    while known < count and tonumber(args[7 + 2 * known]) <= last do
      known = known + 1
    end
    if known == count then
      return {epoch, 0, count, last_known, 0}
    end
  end
  if keys[4] then
    local used = redis.call('GET', keys[4])
    if used then
      local epoch, offset = string.match(used, '^(%S+) (%d+)$')
      return {epoch, 0, 1, tonumber(offset), 0}
    end
  end
  -- Sent before to another run of the server, which may have published it and forgotten that.
  if args[2] ~= '' and args[2] ~= identity() then
    return redis.error_reply('DOUBT server is another one now')
  end
  local payloads = {}
  for i = known, count - 1 do
    payloads[#payloads + 1] = args[8 + 2 * i]
  end
  local first = append(room, args[1], payloads, args[3], tonumber(args[4]))
  redis.call(
    'SET', keys[3],
    args[7 + 2 * known] .. ' ' .. args[#args - 1] .. ' ' .. int(first) .. ' ' .. #payloads .. ' ' .. room.e,
    'PX', args[5])
  if keys[4] then
    redis.call('SET', keys[4], room.e .. ' ' .. int(first), 'PX', args[6])
  end
  return {room.e, first, known, last_known, 0}
end

-- KEYS meta stream; ARGV idle_ms. Returns epoch and top; begins a room that is not there, and keeps it alive.
local function top(keys, args)
  local room, problem = open(keys[1], keys[2])
  if not room then
    return problem
  end
  keep_alive(room, tonumber(args[1]))
  return {room.e, room.t}
end

-- KEYS meta stream; ARGV epoch offset limit. Returns epoch, top, whether the position leads here, and offsets and
-- payloads in turn.
local function history(keys, args)
  local room, problem = open(keys[1], keys[2])
  if not room then
    return problem
  end
  local after = tonumber(args[2])
  local leads = 0
  if args[1] == room.e then
    leads = after <= room.t and 1 or 0
  else
    for epoch, last in string.gmatch(room.l, '(%S+):(%d+)') do
      if epoch == args[1] and after <= tonumber(last) then
        leads = 1
      end
    end
  end
  local page = {room.e, room.t, leads}
  if leads == 1 and room.k ~= '' then
    -- What is too old goes first, with all that is older: a page has no holes, whatever the ages were once.
    local events, bytes = string.match(room.k, '^(%d+) (%d+)')
    trim(room, tonumber(events), tonumber(bytes))
    for _, entry in ipairs(redis.call('XRANGE', room.stream, int(after + 1), '+', 'COUNT', args[3])) do
      page[#page + 1] = tonumber(string.match(entry[1], '^%d+'))
      page[#page + 1] = entry[2][2]
    end
  end
  return page
end

-- ── Presence ──
-- `o` is a hash: who → cmsgpack {info, {node → true}}. Its topic is a room of its own, in the same slot.

local PRESENCE_KEEP = '100 262144 60000'

local function change(keys, args, payload)
  local room, problem = open(keys[1], keys[2])
  if not room then
    return problem
  end
  append(room, args[1], {payload}, PRESENCE_KEEP, tonumber(args[2]))
  return 1
end

-- KEYS meta stream occupants; ARGV channel idle_ms node who info
local function appear(keys, args)
  local node, who, info = args[3], args[4], args[5]
  local packed = redis.call('HGET', keys[3], who)
  local entry = packed and cmsgpack.unpack(packed) or {'', {}}
  local is_news = not packed or entry[1] ~= info
  entry[1], entry[2][node] = info, true
  redis.call('HSET', keys[3], who, cmsgpack.pack(entry))
  return is_news and change(keys, args, '+' .. who .. '\n' .. info) or 0
end

local function vanish(keys, args, who, packed)
  local entry = cmsgpack.unpack(packed)
  if not entry[2][args[3]] then
    return 0
  end
  entry[2][args[3]] = nil
  if next(entry[2]) then
    redis.call('HSET', keys[3], who, cmsgpack.pack(entry))
    return 0
  end
  redis.call('HDEL', keys[3], who)
  return change(keys, args, '-' .. who)
end

-- KEYS meta stream occupants; ARGV channel idle_ms node who
local function disappear(keys, args)
  local packed = redis.call('HGET', keys[3], args[4])
  return packed and vanish(keys, args, args[4], packed) or 0
end

-- KEYS meta stream occupants; ARGV channel idle_ms node. Takes back all that a node said of a room.
local function sweep(keys, args)
  local all = redis.call('HGETALL', keys[3])
  for i = 1, #all, 2 do
    vanish(keys, args, all[i], all[i + 1])
  end
  return 1
end

-- KEYS meta stream occupants; ARGV idle_ms. Returns epoch, top, and who and info in turn.
local function occupants(keys, args)
  local room, problem = open(keys[1], keys[2])
  if not room then
    return problem
  end
  keep_alive(room, tonumber(args[1]))
  local result = {room.e, room.t}
  local all = redis.call('HGETALL', keys[3])
  for i = 1, #all, 2 do
    result[#result + 1] = all[i]
    result[#result + 1] = cmsgpack.unpack(all[i + 1])[1]
  end
  return result
end

-- A node whose lease has run out is buried before what it said is taken back: its name with this stands among the leases
-- until that is done. It cannot renew its lease then, and goes on under another name if it lives after all.
local BURIED = '!'

-- A node that has stopped is retired: its name with this has the last lease, and sees nobody's run out.
local RETIRED = '~'

-- No lease may last longer than so many of the asking node's: a clock that is put back would make it last for hours.
local LONGEST_LEASE = 10

local function mark(name)
  return string.sub(name, -1)
end

local function bury_now(leases, name, now)
  redis.call('ZREM', leases, name)
  if mark(name) == RETIRED then
    name = string.sub(name, 1, -2)
  end
  redis.call('ZADD', leases, int(now), name .. BURIED)
end

-- KEYS leases; ARGV node lease_ms since_ms, the time that has passed for the node since it renewed its lease, or -1 to
-- take one. Returns whether the node has one now, and the names whose lease has run out, also those that are buried
-- already. It has none where another node has buried it, or the server has lost what it knew.
local function renew(keys, args)
  local now = clock()
  local lease, since = tonumber(args[2]), tonumber(args[3])
  local score = redis.call('ZSCORE', keys[1], args[1])
  if not score and (since >= 0 or redis.call('ZSCORE', keys[1], args[1] .. BURIED)) then
    return {0}
  end
  if score and since >= 0 and now - (score - lease) - since > lease / 2 then
    -- The server's clock was put forward, or the server stood still: others may live and could not renew theirs.
    for _, name in ipairs(redis.call('ZRANGEBYSCORE', keys[1], '-inf', int(now))) do
      if mark(name) ~= BURIED then
        redis.call('ZADD', keys[1], int(now + lease), name)
      end
    end
  end
  local longest = int(now + LONGEST_LEASE * lease)
  for _, name in ipairs(redis.call('ZRANGEBYSCORE', keys[1], '(' .. longest, '+inf')) do
    redis.call('ZADD', keys[1], longest, name)
  end
  redis.call('ZADD', keys[1], int(now + lease), args[1])
  local result = {1}
  for _, name in ipairs(redis.call('ZRANGEBYSCORE', keys[1], '-inf', int(now), 'LIMIT', 0, 100)) do
    result[#result + 1] = name
  end
  return result
end

-- KEYS leases; ARGV node lease_ms is_here, whether anybody is present through the node, is_new, whether leases that have
-- run out may be those of the living. It ends: its lease runs out if somebody is present, and if there is a node that will
-- see that. Returns the names of those that are to be taken back now.
local function retire(keys, args)
  local now = clock()
  local is_alone = true
  local since = args[4] == '1' and '-inf' or '(' .. int(now)
  for _, name in ipairs(redis.call('ZRANGEBYSCORE', keys[1], since, '+inf')) do
    is_alone = is_alone and (name == args[1] or mark(name) == RETIRED or mark(name) == BURIED)
  end
  if not is_alone and args[3] == '1' then
    redis.call('ZREM', keys[1], args[1])
    redis.call('ZADD', keys[1], int(now + args[2]), args[1] .. RETIRED)
    return {}
  end
  bury_now(keys[1], args[1], now)
  if is_alone then
    for _, name in ipairs(redis.call('ZRANGE', keys[1], 0, -1)) do
      if mark(name) == RETIRED then
        bury_now(keys[1], name, now)
      end
    end
  end
  local result = {}
  for _, name in ipairs(redis.call('ZRANGE', keys[1], 0, -1)) do
    if mark(name) == BURIED then
      result[#result + 1] = name
    end
  end
  return result
end

-- KEYS leases; ARGV name, as `renew` has returned it. Returns whether its lease has run out; it is buried then.
local function bury(keys, args)
  local now = clock()
  local score = redis.call('ZSCORE', keys[1], args[1])
  if not score or tonumber(score) > now then
    return 0
  end
  bury_now(keys[1], args[1], now)
  return 1
end

-- KEYS leases; ARGV name lease_ms. What a buried node said cannot all be taken back: it is returned again a lease later,
-- and stands in nobody's way until then.
local function defer(keys, args)
  return redis.call('ZADD', keys[1], 'XX', int(clock() + args[2]), args[1])
end

local function hello()
  return identity()
end

redis.register_function('NAME_publish', publish)
redis.register_function('NAME_top', top)
redis.register_function('NAME_history', history)
redis.register_function('NAME_appear', appear)
redis.register_function('NAME_disappear', disappear)
redis.register_function('NAME_sweep', sweep)
redis.register_function('NAME_occupants', occupants)
redis.register_function('NAME_renew', renew)
redis.register_function('NAME_retire', retire)
redis.register_function('NAME_bury', bury)
redis.register_function('NAME_defer', defer)
redis.register_function('NAME_hello', hello)
