package redis

import "github.com/redis/rueidis"

// clock is the server's time in µs since 1970: 16 digits, which a float64 holds, and which Lua would shorten where it writes a number as
// text on its own.
const clock = `
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local function digits(n) return string.format('%.0f', n) end
-- the key is needed until the last end; the server forgets it then
local function keep(key)
	local last = redis.call('ZRANGE', key, -1, -1, 'WITHSCORES')
	if last[2] then redis.call('PEXPIREAT', key, digits(math.ceil(last[2] / 1000))) end
end
`

// acquire takes owner, time and number of places.
const acquire = clock + `
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', digits(now))
local ends = now + ARGV[2]
local had = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not had and redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[3]) then
	return {0, 0, redis.call('ZRANGE', KEYS[1], 0, 0)[1]}
end
if not had or tonumber(had) < ends then
	redis.call('ZADD', KEYS[1], digits(ends), ARGV[1])
	keep(KEYS[1])
end
return {1, had and 0 or 1, ''}`

// extend takes owner and time. The key's own end must not come before that of another place, so it is looked up again.
const extend = clock + `
local had = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not had or tonumber(had) <= now then return 0 end
redis.call('ZADD', KEYS[1], digits(now + ARGV[2]), ARGV[1])
keep(KEYS[1])
return 1`

// reserve takes every, slack and horizon, and returns how long it is until the turn, as measure.Turn.Take does. The key keeps the time of
// the last turn for as long as it has a meaning.
const reserve = clock + `
local every = tonumber(ARGV[1])
local at = now
local last = redis.call('GET', KEYS[1])
if last then at = math.max(now, last + every) end
local wait = math.max(0, at - ARGV[2] - now)
if wait <= tonumber(ARGV[3]) then
	redis.call('SET', KEYS[1], digits(at), 'PX', digits(math.ceil((at + every - now) / 1000)))
end
return digits(wait)`

type scripts struct{ acquire, extend, reserve *rueidis.Lua }

func newScripts() scripts {
	return scripts{acquire: rueidis.NewLuaScript(acquire), extend: rueidis.NewLuaScript(extend), reserve: rueidis.NewLuaScript(reserve)}
}
