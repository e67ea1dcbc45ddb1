-- Single readings for wrk: DEVICES devices in turn, a minute later at each pass. FIRST is the first minute, in seconds since 1970.
-- KEYS, where given, is a file with a key for each device.
local devices = tonumber(os.getenv("DEVICES"))
local first = tonumber(os.getenv("FIRST"))
local head = "POST /v1/telemetry/vehicle HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
local form = '{"vehicleId":"S%05d","soc":%d,"kwhDeliveredDc":%.3f,"batteryTemp":%.1f,"timestamp":"%s"}'
local sent, pass, instant = 0, -1, ""
local keys = {}
if os.getenv("KEYS") then
  for key in io.lines(os.getenv("KEYS")) do keys[#keys + 1] = "Authorization: Bearer " .. key .. "\r\n" end
end

function request()
  local device = sent % devices
  local now = (sent - device) / devices
  if now ~= pass then
    pass = now
    instant = os.date("!%Y-%m-%dT%H:%M:%SZ", first + 60 * pass)
  end
  sent = sent + 1
  local body = string.format(form, device, device % 101, device % 120 / 1000, 15 + device % 250 / 10, instant)
  return head .. (keys[device + 1] or "") .. "Content-Length: " .. #body .. "\r\n\r\n" .. body
end

function done(summary, latency)
  local e = summary.errors
  print(string.format(
    'FIGURES {"answers":%d,"elapsed_us":%d,"refused":%d,"broken":%d,"p50_us":%d,"p99_us":%d}',
    summary.requests, summary.duration, e.status, e.connect + e.read + e.write + e.timeout,
    latency:percentile(50), latency:percentile(99)))
end
