"""What each route answers where all is well, as the specification tells it. A test holds every real answer against it.

Members are written `name:type`, with `?` where null is allowed, `[]` for an array and `name?:type` where it may be absent; a capital letter
begins the name of another schema of this file. Members may be added at any time: a client ignores those it does not know.
"""

from dataclasses import dataclass

JSON, CSV, PARQUET = "application/json", "text/csv", "application/vnd.apache.parquet"

SCHEMAS = {
    "Receipt": "requestId:string received:count accepted:count duplicates:count rejected:count errors:Fault[] errorsTruncated:boolean",
    "Fault": "index?:count line?:count pointer:string code:string detail:string",
    "Problem": "type:string title:string status:integer detail:string requestId:string errors?:Fault[] errorsTruncated?:boolean"
    " received?:count accepted?:count duplicates?:count rejected?:count",
    "Band": "low:number? high:number?",
    "Sides": "vehicle:number? meter:number?",
    "Performance": "totalAc:number totalDc:number efficiency:number? avgTemp:number? vehicleId:id meterIds:id[] from:instant to:instant"
    " computedAt:instant efficiencyRatio:number? uncertainty:number? lossKwh:number? expected:Band coverage:Sides readings:Sides"
    " verdict:string severity:string? reason:string",
    "Vehicle": "vehicleId:id name:string? model:string? siteId:id? siteName:string? recordedAt:instant? receivedAt:instant? soc:number?"
    " powerKw:number? batteryTemp:number? kwhDeliveredDc:number? latitude:number? longitude:number? positionAt:instant? meterId:id?"
    " thresholds:string? plainLow:number? plainCritical:number? efficiencyRatio:number? verdict:string? severity:string? reason:string?",
    "Meter": "meterId:id name:string? siteId:id? siteName:string? ratedKw:number? recordedAt:instant? receivedAt:instant?"
    " kwhConsumedAc:number? powerKw:number? voltage:number? latitude:number? longitude:number?",
    "VehiclePoint": "at:instant kwhDeliveredDc:number soc:number? batteryTemp:number? readings:count",
    "MeterPoint": "at:instant kwhConsumedAc:number voltage:number? readings:count",
    "Site": "siteId:id name:string latitude:number? longitude:number? timeZone:string tariffPerKwh:number? co2KgPerKwh:number?"
    " thresholds:string? plainLow:number? plainCritical:number?",
    "Stretch": "meterId:id? from:instant? to:instant?",
    "Timeline": "vehicleId:id meterId:id? timeline:Stretch[]",
    "Session": "vehicleIds:id[] meterId:id? start:instant end:instant durationS:count running:boolean acKwh:number dcKwh:number"
    " efficiencyRatio:number? lossKwh:number? meanKw:number? peakKw:number? socFrom:number? socTo:number? avgTemp:number?"
    " uncertainty:number? expected:Band coverage:Sides readings:Sides verdict:string severity:string? reason:string",
    "Key": "keyId:string name:string rights:string[] binding:string",
    "Person": "personId:count email:string name:string role:string",
    "Channel": "channelId:count name:string kind:string address:string secretSet:boolean enabled:boolean leastSeverity:string"
    " digestAt:string? digestZone:string createdAt:instant waiting:count lastError:string?",
    "Notice": "noticeId:count channelId:count? kind:string title:string createdAt:instant state:string tries:count lastError:string?",
    "Silence": "silenceId:count active:boolean rule:string? siteId:id? startsAt:instant endsAt:instant reason:string createdAt:instant",
    "Alert": "rule:string severity:string reason:string",
    "Rule": "rule:string name:string says:string scopes:string[] previewable:boolean settings:object[] values:object set:object[]",
    "BulkDone": "dryRun:boolean applied:boolean counts:object rows:object[]",
    "Change": "changeId:count changedAt:instant by:string via:string vehicleId:id meterBefore:id? meterAfter:id? note:string?",
}


@dataclass(frozen=True, slots=True)
class Told:
    """The members of a JSON answer, or the name of its schema; the statuses it comes with; the other forms there are of it."""

    body: str
    statuses: tuple[int, ...] = (200,)
    others: tuple[str, ...] = ()
    json: bool = True


def _list(name: str, of: str, more: str = "next:any", others: tuple[str, ...] = ()) -> Told:
    return Told(f"{name}:{of}[] {more}".strip(), others=others)


_RECEIPT = Told("Receipt", (200, 201, 207))
_REPORT = Told("report:string from:instant to:instant", others=(CSV, PARQUET))
_PREVIEW = Told("report:string from:instant to:instant rows:object[] rowCount:count? rowCountIs:string")

ANSWERS = {
    "POST /v1/telemetry/vehicle": _RECEIPT,
    "POST /v1/telemetry/meter": _RECEIPT,
    "POST /v1/telemetry/batch": _RECEIPT,
    "GET /v1/analytics/performance/{vehicleId}": Told("Performance"),
    "GET /v1/analytics/performance": Told("Performance[]", others=(CSV,)),
    "GET /v1/analytics/performance.csv": Told("", others=(CSV,), json=False),
    "GET /v1/analytics/sites": Told("from:instant to:instant sites:object[]", others=(CSV,)),
    "GET /v1/analytics/matrix": Told("from:instant to:instant vehicles:object[] chargers:object[] cells:object[]"),
    "GET /v1/vehicles": _list("vehicles", "Vehicle"),
    "GET /v1/vehicles/{vehicleId}": Told("Vehicle"),
    "PUT /v1/vehicles/{vehicleId}": Told("vehicleId:id name:string? model:string? siteId:id?", (200, 201)),
    "GET /v1/vehicles/{vehicleId}/history": Told("vehicleId:id bucket:string from:instant to:instant points:VehiclePoint[]", others=(CSV,)),
    "GET /v1/vehicles/{vehicleId}/sessions": Told("vehicleId:id from:instant to:instant sessions:Session[]", others=(CSV,)),
    "GET /v1/vehicles/{vehicleId}/efficiency": Told("vehicleId:id from:instant to:instant bin:string whole:Performance bins:Performance[]"),
    "GET /v1/vehicles/{vehicleId}/losses": Told("vehicleId:id from:instant to:instant acKwh:number dcKwh:number lossKwh:number?"),
    "GET /v1/vehicles/{vehicleId}/bands": Told("vehicleId:id bands:object[]"),
    "GET /v1/meters": _list("meters", "Meter"),
    "GET /v1/meters/{meterId}": Told("Meter"),
    "PUT /v1/meters/{meterId}": Told("meterId:id name:string? siteId:id?", (200, 201)),
    "GET /v1/meters/{meterId}/history": Told("meterId:id bucket:string from:instant to:instant points:MeterPoint[]", others=(CSV,)),
    "GET /v1/meters/{meterId}/sessions": Told("meterId:id from:instant to:instant sessions:Session[]", others=(CSV,)),
    "GET /v1/meters/{meterId}/energy": Told("meterId:id from:instant to:instant bin:string bins:object[]", others=(CSV,)),
    "GET /v1/meters/{meterId}/mappings": Told("meterId:id vehicleIds:id[] timeline:object[]"),
    "GET /v1/sites": _list("sites", "Site"),
    "GET /v1/sites/{siteId}": Told("Site"),
    "PUT /v1/sites/{siteId}": Told("Site", (200, 201)),
    "POST /v1/sites": Told("BulkDone"),
    "GET /v1/descriptions/vehicles": _list("vehicles", "object"),
    "GET /v1/descriptions/meters": _list("meters", "object"),
    "GET /v1/mappings": _list("mappings", "Timeline", ""),
    "POST /v1/mappings": Told("BulkDone"),
    "GET /v1/mappings/{vehicleId}": Told("Timeline"),
    "PUT /v1/mappings/{vehicleId}": Told("vehicleId:id meterId:id? timeline:Stretch[] changes:object[] dryRun?:boolean", (200, 201)),
    "DELETE /v1/mappings/{vehicleId}": Told("vehicleId:id meterId:id? timeline:Stretch[] changes:object[] dryRun?:boolean", (200, 201)),
    "GET /v1/mapping-changes": _list("changes", "Change"),
    "GET /v1/reports/summaries": _REPORT,
    "GET /v1/reports/sessions": _REPORT,
    "GET /v1/reports/columns": Told("summaries:object[] sessions:object[] sites:object[]"),
    "GET /v1/reports/summaries/preview": _PREVIEW,
    "GET /v1/reports/sessions/preview": _PREVIEW,
    "GET /v1/alerts": _list("alerts", "Alert", "next:any evaluation:any", (CSV,)),
    "GET /v1/alerts/{episodeId}": Told("Alert"),
    "POST /v1/alerts/{episodeId}/acknowledge": Told("Alert"),
    "GET /v1/silences": _list("silences", "Silence"),
    "POST /v1/silences": Told("Silence", (201,)),
    "DELETE /v1/silences/{silenceId}": Told("Silence"),
    "GET /v1/alert-rules": _list("rules", "Rule", ""),
    "PUT /v1/alert-rules/{rule}": Told("Rule"),
    "DELETE /v1/alert-rules/{rule}": Told("Rule"),
    "POST /v1/alert-rules/preview": Told("rule:string scope:object settings:object"),
    "GET /v1/notice-channels": _list("channels", "Channel", ""),
    "POST /v1/notice-channels": Told("Channel", (201,)),
    "PUT /v1/notice-channels/{channelId}": Told("Channel"),
    "DELETE /v1/notice-channels/{channelId}": Told("deleted:count"),
    "POST /v1/notice-channels/{channelId}/test": Told("noticeId:count", (202,)),
    "GET /v1/notices": _list("notices", "Notice"),
    "GET /v1/keys": _list("keys", "Key"),
    "POST /v1/keys": Told("Key", (201,)),
    "POST /v1/keys/{keyId}/rotate": Told("Key"),
    "DELETE /v1/keys/{keyId}": Told("Key"),
    "GET /v1/me": Told("may:string[] mustChangePassword:boolean"),
    "GET /v1/people": _list("people", "Person"),
    "GET /v1/people/{personId}": Told("Person"),
    "POST /v1/people": Told("Person", (201,)),
    "PUT /v1/people/{personId}": Told("Person"),
    "POST /v1/people/{personId}/password": Told("Person"),
    "DELETE /v1/people/{personId}/log-ins": Told("Person"),
    "GET /v1/ingestion/minutes": _list("minutes", "object", "", (CSV,)),
    "GET /v1/ingestion/rejects": _list("rejects", "object", "", (CSV,)),
    "GET /v1/ingestion/devices": _list("devices", "object", "", (CSV,)),
    "GET /v1/ingestion/gaps": _list("gaps", "object", "devices:count", (CSV,)),
    "GET /v1/ingestion/days": _list("days", "object", "", (CSV,)),
    "GET /healthz": Told("status:string"),
    "GET /readyz": Told("status:string daysAhead:count warnings:string[]"),
    "GET /metrics": Told("", others=("text/plain",), json=False),
}
# Of a route that is not listed no more is told than that it answers JSON.
UNTOLD = Told("any", (200, 201, 202))
