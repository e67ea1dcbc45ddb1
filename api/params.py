"""Path and query parameters, described once for validation and for the specification."""

from datetime import datetime
from functools import cache
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, Field

from api.keys.rights import RIGHTS, Right
from api.keys.secret import KEY_ID_PATTERN
from api.schemas import ID_PATTERN
from charging.verdict import Verdict
from db.assignment_changes import MOST_NOTE, MOST_WHO

_ID = ID_PATTERN.replace(r"\Z", "$")
MOST_BOUND = 5_000  # devices in one key: beyond that it is a site's or a gateway's
_TEXT = r"^[^\x00-\x1f\x7f]*$"  # a line of text: PostgreSQL keeps no NUL, and nobody needs the others
By = Annotated[str, Field(min_length=1, max_length=MOST_WHO, pattern=_TEXT, description="Who; the remote address if absent")]
Name = Annotated[str, Field(min_length=1, max_length=200, pattern=_TEXT)]
Ratio = Annotated[float, Field(gt=0, lt=1, strict=True, allow_inf_nan=False)]
# Of a kWh: no currency needs more, and no grid or generator comes near it. As in the database.
MOST_TARIFF, MOST_CO2_KG = 1_000_000, 10
Note = Annotated[str, Field(max_length=MOST_NOTE, pattern=_TEXT, description="Why")]


class VehiclePath(BaseModel):
    """/{vehicleId}"""

    vehicleId: str = Field(pattern=_ID)


class MeterPath(BaseModel):
    """/{meterId}"""

    meterId: str = Field(pattern=_ID)


class SitePath(BaseModel):
    """/{siteId}"""

    siteId: str = Field(pattern=_ID)


class Query(BaseModel):
    """Parameters behind the question mark."""

    @classmethod
    def model_json_schema(cls, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Made once: flask-openapi3 asks for it at every request, which cost a third of a millisecond."""
        return super().model_json_schema(*args, **kwargs) if args or kwargs else _plain_schema(cls)


@cache
def _plain_schema(model: type[BaseModel]) -> dict[str, Any]:
    return BaseModel.model_json_schema.__func__(model)  # type: ignore[attr-defined, no-any-return]


class AtQuery(Query):
    """The window is the 24 hours (at − 24 h, at]."""

    at: AwareDatetime | None = Field(None, description="End of the 24 hours, RFC 3339 with an offset; now if absent")


class PerformanceQuery(AtQuery):
    """And a format."""

    format: Literal["json", "csv"] = "json"


class PageQuery(Query):
    """A page of a list ordered by id."""

    after: str = Field("", max_length=64, pattern=_TEXT, description="The last id of the page before")
    limit: int = Field(1000, ge=1, le=10_000)


class HistoryQuery(Query):
    """(from, to]; the last 24 hours where absent."""

    start: AwareDatetime | None = Field(None, alias="from", description="Exclusive; 24 h before `to` if absent")
    end: AwareDatetime | None = Field(None, alias="to", description="Inclusive; now if absent")
    bucket: Literal["raw", "15m", "1h", "1d"] = "15m"
    format: Literal["json", "csv"] = "json"


class RangeQuery(Query):
    """(from, to]; the last 30 days where absent."""

    start: AwareDatetime | None = Field(None, alias="from", description="Exclusive; 30 days before `to` if absent")
    end: AwareDatetime | None = Field(None, alias="to", description="Inclusive; now if absent")


class SessionsQuery(RangeQuery):
    """Sessions that ended in it."""

    format: Literal["json", "csv"] = "json"


class EfficiencyQuery(RangeQuery):
    """In bins."""

    bin: Literal["15m", "1h", "6h", "1d"] = Field("1h", description="Whole ones of UTC; those without any reading are left out")


class MeterEnergyQuery(Query):
    """(from, to]; the last 24 hours where absent."""

    start: AwareDatetime | None = Field(None, alias="from", description="Exclusive; 24 h before `to` if absent")
    end: AwareDatetime | None = Field(None, alias="to", description="Inclusive; now if absent")
    bin: Literal["15m", "1h", "6h", "1d"] = Field("1h", description="How wide a bin is; it begins at whole ones of UTC")
    format: Literal["json", "csv"] = "json"


class SitesEnergyQuery(RangeQuery):
    """And a format."""

    format: Literal["json", "csv"] = "json"


class MatrixQuery(RangeQuery):
    """Whose vehicles and chargers: one of the three."""

    vehicleId: str | None = Field(None, pattern=_ID)
    meterId: str | None = Field(None, pattern=_ID)
    siteId: str | None = Field(None, pattern=_ID)


class IntakeQuery(HistoryQuery):
    """[from, to) of what came in."""

    bucket: Literal["1m", "5m", "1h", "1d"] = "1m"  # type: ignore[assignment]


class DevicesQuery(Query):
    """Which devices."""

    side: Literal["vehicle", "meter"] | None = None
    state: Literal["reporting", "late", "stale", "silent", "never"] | None = Field(None, description="Judged by the device's own rhythm")
    siteId: str | None = Field(None, pattern=_ID)
    q: str = Field("", max_length=100, pattern=_TEXT, description="Text in id or name")
    new: bool | None = Field(None, description="Reports, and nobody described or assigned it")
    ahead: bool | None = Field(None, description="Its clock is more than five seconds ahead")
    format: Literal["json", "csv"] = "json"


class GapsQuery(Query):
    """Whose hours: seven days that end at `to`."""

    side: Literal["vehicle", "meter"] = "vehicle"
    siteId: str | None = Field(None, pattern=_ID)
    q: str = Field("", max_length=100, pattern=_TEXT, description="Text in id or name")
    page: int = Field(1, ge=1, le=100_000, description="Fifty devices each, those with the most missing of the last 24 hours first")
    format: Literal["json", "csv"] = "json"


class DaysQuery(Query):
    """Every day there is."""

    format: Literal["json", "csv"] = "json"


class MappingBody(BaseModel):
    """In [from, to) this meter, or none, feeds the vehicle; from `to` on what did before goes on."""

    meterId: str | None = Field(pattern=_ID)
    start: AwareDatetime | None = Field(
        None,
        alias="from",
        description="Where absent, a vehicle's first mapping holds from always, a later one from now. Before now it corrects the past, and that is recorded",
    )
    end: AwareDatetime | None = Field(None, alias="to", description="Where absent, until the vehicle's next assignment")
    by: By | None = None
    note: Note | None = None


class TryQuery(Query):
    """Whether it is done or only tried."""

    dryRun: bool = Field(False, description="Only say what would change, the numbers of the last 30 days included")


class WithdrawQuery(TryQuery):
    """Which assignment is taken out, by whom and why."""

    start: AwareDatetime | None = Field(
        None,
        alias="from",
        description="Take out the assignment that begins exactly then, the one before goes on; absent: end the mapping now",
    )
    by: By | None = None
    note: Note | None = None


class ChangesQuery(Query):
    """Which part of the record."""

    vehicleId: str | None = Field(None, pattern=_ID)
    meterId: str | None = Field(None, pattern=_ID, description="Where this meter came or went")
    after: int | None = Field(None, ge=1, le=2**62, description="The last changeId of the page before")
    limit: int = Field(1000, ge=1, le=10_000)


class BulkQuery(Query):
    """How a file is taken."""

    dryRun: bool = Field(False, description="Only say what the file would change")


class BulkMappingsQuery(BulkQuery):
    """And by whom, why, and what of ids that nobody has heard of."""

    unknown: Literal["refuse", "accept"] = Field("refuse", description="Ids that were never reported, described or assigned")
    by: By | None = None
    note: Note | None = None


class PositionBody(BaseModel):
    """WGS 84 degrees; both or neither."""

    latitude: float | None = Field(None, ge=-90, le=90)
    longitude: float | None = Field(None, ge=-180, le=180)


class ThresholdsBody(BaseModel):
    """By what vehicles are judged; absent or null: as the site says, else as the settings say."""

    thresholds: Literal["band", "plain"] | None = Field(None, description="The expected band, or the plain ratios alone")
    plainLow: Ratio | None = Field(None, description="A ratio below it is low")
    plainCritical: Ratio | None = Field(None, description="A ratio below it is critical; less than plainLow")


class SiteBody(PositionBody, ThresholdsBody):
    """A place with vehicles and chargers."""

    name: Name
    timeZone: str = Field("UTC", max_length=64, pattern=_TEXT, description="IANA name")
    tariffPerKwh: float | None = Field(
        None, ge=0, le=MOST_TARIFF, strict=True, allow_inf_nan=False, description="Money for a kWh from the grid, in your currency"
    )
    co2KgPerKwh: float | None = Field(
        None, ge=0, le=MOST_CO2_KG, strict=True, allow_inf_nan=False, description="kg of CO₂ for a kWh from the grid"
    )


class VehicleBody(ThresholdsBody):
    """What people know about a vehicle."""

    name: Name | None = None
    model: Name | None = None
    siteId: str | None = Field(None, pattern=_ID)


class MeterBody(PositionBody):
    """What people know about a meter."""

    name: Name | None = None
    ratedKw: float | None = Field(None, ge=0.001, le=10_000)
    siteId: str | None = Field(None, pattern=_ID)


def sane(at: datetime) -> bool:
    """Whether a window may end there: PostgreSQL and Python agree on these years, and a day before it exists."""
    return 2000 <= at.year < 2200


class ReportQuery(Query):
    """(from, to], or a local day; the last 24 hours where absent."""

    start: AwareDatetime | None = Field(
        None, alias="from", description="Exclusive, RFC 3339 with an offset; 24 × 3600 s before `to` if absent"
    )
    end: AwareDatetime | None = Field(None, alias="to", description="Inclusive; now if absent")
    day: str | None = Field(
        None,
        pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$",
        description="Instead of from and to: this day in `zone`, midnight to midnight, 23 to 25 hours",
    )
    zone: str = Field("UTC", max_length=64, pattern=_TEXT, description="IANA name, of the day and of the columns in local time")
    format: Literal["csv", "parquet", "json"] = "csv"
    separator: Literal["comma", "semicolon"] = Field("comma", description="CSV only")
    decimal: Literal["point", "comma"] = Field("point", description="CSV only; comma needs the semicolon as separator")
    bom: bool = Field(
        False,
        description="CSV only: begin with a byte order mark, for spreadsheets that take a file for something else than UTF-8 without it",
    )
    vehicleId: list[Annotated[str, Field(pattern=_ID)]] = Field([], max_length=100, description="Only these vehicles; repeatable")
    site: list[Annotated[str, Field(pattern=_ID)]] = Field(
        [], max_length=100, description="Only vehicles that belong to this site, by its id; repeatable"
    )


class SummariesReportQuery(ReportQuery):
    """And which verdicts."""

    verdict: list[Verdict] = Field([], max_length=len(Verdict), description="Only summaries with one of these; repeatable")


class ChannelPath(BaseModel):
    """/{channelId}"""

    channelId: int = Field(ge=1, le=2**62)


class ByQuery(Query):
    """Who asks."""

    by: By | None = None


class ChannelChangeBody(BaseModel):
    """How people are told, all of it anew; `address` and `secret` stay as they are where absent or null."""

    name: Name
    kind: Literal["webhook", "email", "apprise"]
    address: str | None = Field(
        None,
        repr=False,
        min_length=1,
        max_length=2000,
        pattern=_TEXT,
        description="A URL, an e-mail address, or an Apprise URL. Answers show its scheme and host only",
    )
    secret: str | None = Field(
        None, repr=False, min_length=16, max_length=500, pattern=_TEXT, description="Webhook: the key of its signature. Never shown"
    )
    newSecret: bool = Field(False, description="Webhook: make a new secret and show it once")
    enabled: bool = True
    leastSeverity: Literal["warning", "critical"] = Field("warning", description="critical: nothing of what is a warning only")
    digestAt: str | None = Field(None, pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$", description="Local time of the daily digest; null: none")
    digestZone: str = Field("UTC", max_length=64, pattern=_TEXT, description="IANA name")
    by: By | None = None


class ChannelBody(ChannelChangeBody):
    """A new channel. A webhook without a secret gets one, shown in the answer once."""

    address: str = Field(
        repr=False, min_length=1, max_length=2000, pattern=_TEXT, description="A URL, an e-mail address, or an Apprise URL"
    )


class NoticesQuery(Query):
    """Which part of the outbox."""

    channel: int | None = Field(None, ge=1, le=2**62, description="Only of this channel")
    state: Literal["waiting", "sent", "givenUp"] | None = None
    id: int | None = Field(None, ge=1, le=2**62, description="Only this notice")
    after: int | None = Field(None, ge=1, le=2**62, description="The last noticeId of the page before")
    limit: int = Field(100, ge=1, le=1000)


class KeyPath(BaseModel):
    """/{keyId}"""

    keyId: str = Field(pattern=KEY_ID_PATTERN)


class KeyBody(BaseModel):
    """A new key: what it may do, and for which devices it may write."""

    name: Name
    rights: list[Right] = Field(
        ["write"], min_length=1, max_length=len(RIGHTS), description="write: readings; read: analytics and exports; admin: the rest"
    )
    binding: Literal["none", "device", "list", "site", "gateway"] = Field(
        description="Whose readings it may write: one device's, those of a list, of all that belongs to a site, anybody's, or none"
    )
    vehicleIds: list[Annotated[str, Field(pattern=_ID)]] = Field([], max_length=MOST_BOUND, description="device or list")
    meterIds: list[Annotated[str, Field(pattern=_ID)]] = Field([], max_length=MOST_BOUND, description="device or list")
    siteId: str | None = Field(None, pattern=_ID, description="site")
    expiresAt: AwareDatetime | None = Field(None, description="RFC 3339 with an offset; absent or null: never")
    by: By | None = None
    note: Note | None = None


class RotateBody(BaseModel):
    """Another secret for a key."""

    previousUntil: AwareDatetime | None = Field(
        None, description="Until when the secret it has holds too, so that the device can be changed over; 24 hours from now if absent"
    )
    by: By | None = None
    note: Note | None = None


class RevokeQuery(Query):
    """Who revokes, and why."""

    by: By | None = None
    note: Note | None = None
