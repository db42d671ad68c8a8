-- wrk: each request carries the next of many tokens, in an order that looks like chance.
local requests, at = {}, 0

function init(arguments)
    local path, file = arguments[1], arguments[2]
    for line in io.lines(file) do
        local token = line:match("^%S+")
        requests[#requests + 1] = wrk.format("GET", path, { ["X-API-Key"] = token, ["Accept"] = "*/*", ["User-Agent"] = "wrk" })
    end
end

function request()
    at = (at + 7919) % #requests
    return requests[at + 1]
end

-- requests, seconds, answers of 400 and above, failures of sockets, p50 and p99 in microseconds
function done(summary, latency)
    local errors = summary.errors
    io.write(string.format("RESULT %d %.3f %d %d %d %d\n", summary.requests, summary.duration / 1e6, errors.status,
        errors.connect + errors.read + errors.write + errors.timeout, latency:percentile(50), latency:percentile(99)))
end
