#!/usr/bin/env lua5.1
-- SPDX-License-Identifier: ISC
-- bare.c's answers by WSAPI. Lua cannot sleep: it waits for a child that can.
local fastcgi = require "wsapi.fastcgi"

local function pid()
	local f = assert(io.open("/proc/self/stat"))
	local n = f:read("*n")
	f:close()
	return n
end

fastcgi.run(function(env)
	local token, ms, size = env.QUERY_STRING:match("^(%S*) ?(%d*) ?(%d*)")
	if (tonumber(ms) or 0) > 0 then
		os.execute(("sleep %.3f"):format(ms / 1000))
	end
	return 200, { ["Content-Type"] = "text/plain" }, coroutine.wrap(
	    function()
		coroutine.yield(("%s %d\n"):format(token, pid()))
		coroutine.yield(("x"):rep(tonumber(size) or 0))
	end)
end)
