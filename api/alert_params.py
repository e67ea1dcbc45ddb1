"""What may be asked of alerts and silences, described once for validation and for the specification."""

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, Field

from api.params import _ID, _TEXT, By, Query
from db.alert_people import MOST_NOTE, MOST_SILENCE

Rule = Literal["low_efficiency", "suspect_measurement", "device_silent", "battery_hot", "site_dark"]
Kind = Literal["vehicle", "meter", "site", "ingestion"]
_LINES = r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*$"  # text of several lines
_NUMBER = Annotated[int, Field(ge=1, le=2**62)]


class AlertsQuery(Query):
    """Which alerts, newest first."""

    state: Literal["open", "firing", "recovering", "resolved", "pending", "any"] = Field(
        "open", description="open: firing or recovering. pending: what may become an alert, or not"
    )
    rule: Rule | None = None
    severity: Literal["warning", "critical"] | None = None
    site: str | None = Field(None, pattern=_ID)
    vehicle: str | None = Field(None, pattern=_ID)
    meter: str | None = Field(None, pattern=_ID, description="Its own, and those whose evidence rests on it")
    acknowledged: bool | None = None
    silenced: bool | None = None
    heldBack: bool | None = Field(None, description="Only a consequence of another alert that is open")
    q: str | None = Field(None, max_length=100, pattern=_TEXT, description="Text in id or name")
    after: _NUMBER | None = Field(None, description="The last episodeId of the page before")
    limit: int = Field(1000, ge=1, le=10_000)
    format: Literal["json", "csv"] = Field("json", description="csv: every one that is wanted, whatever the limit")


class AlertPath(BaseModel):
    """/{episodeId}"""

    episodeId: _NUMBER


class AcknowledgeBody(BaseModel):
    """Who takes it on, and what there is to say."""

    note: str | None = Field(None, max_length=MOST_NOTE, pattern=_LINES)
    by: By | None = None


class SubjectBody(BaseModel):
    """What an alert is about."""

    kind: Kind
    id: str = Field(min_length=1, max_length=64, pattern=_TEXT)


class SilenceBody(BaseModel):
    """What is kept quiet about, until when and why; what is absent or null matches every alert."""

    rule: Rule | None = None
    subject: SubjectBody | None = None
    siteId: str | None = Field(None, pattern=_ID)
    endsAt: AwareDatetime | None = Field(None, description="RFC 3339 with an offset; this or durationS")
    durationS: int | None = Field(None, ge=1, le=MOST_SILENCE // timedelta(seconds=1), description="Seconds from now; this or endsAt")
    reason: str = Field(min_length=1, max_length=MOST_NOTE, pattern=_LINES, description="For those who wonder why nobody was told")
    by: By | None = None
    episodeId: _NUMBER | None = Field(None, description="The alert that made somebody do so: it stands in its record")


class SilencesQuery(Query):
    """Which silences, newest first."""

    state: Literal["active", "any"] = "active"
    after: _NUMBER | None = Field(None, description="The last silenceId of the page before")
    limit: int = Field(1000, ge=1, le=10_000)


class SilencePath(BaseModel):
    """/{silenceId}"""

    silenceId: _NUMBER


class EndQuery(Query):
    """Who ends it."""

    by: By | None = None
