"""What each rule sees of a subject: how far it is from being broken, in words, with its evidence. No clock, no memory: see `charging.alerting`."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from charging.alert_settings import AlertSettings, Rule
from charging.alerting import Observation, Timing
from charging.evidence import Evidence
from charging.margin import Margin
from charging.verdict import Summary, Verdict

# Stale from here, in rhythms; the alert comes later. A device that sends more often than once a minute is taken to send once a minute.
STALE_RHYTHMS = 5
LEAST_RHYTHM_S = 60
# However soon people want to be told: after a step of our clock, or a restart, every device has the time to report again.
LEAST_CHANCES = 2
# A device that has been silent for longer was taken out of service, or never belonged here: nobody is told of it any more.
GONE = timedelta(days=7)
# A newest reading this far ahead of our clock: the clock was set back, and silence cannot be measured.
AHEAD = timedelta(seconds=60)
# A battery's temperature that is older says nothing about now.
TEMPERATURE_HOLDS = timedelta(minutes=15)
# Devices of a site that fall silent within so long fell silent together.
TOGETHER = timedelta(minutes=5)
# Fewer devices are no site that is dark, but devices that are silent.
LEAST_DARK = 3
# Readings as a whole have stopped where more than half of all devices fell silent together.
ALL_DARK_SHARE = 0.5
_EXAMPLES = 20
_HOUR_S = 3600

PLAIN = Timing()
HOT = Timing(hold_s=60.0, recover_s=15 * 60.0, clear=2.0)
DARK = Timing(hold_s=4 * 60.0, recover_s=5 * 60.0, clear=0.05)


class Subject(NamedTuple):
    """What an alert is about: a vehicle, a meter, a site, or the ingestion as a whole."""

    kind: str
    id: str


INGESTION = Subject("ingestion", "ingestion")


@dataclass(frozen=True, slots=True)
class Sighting:
    """One rule on one subject at one evaluation. `seen` is the newest evidence, None where its absence is the evidence.

    `evidence` is worked out only where it is written down. `goes_on`: no newer evidence can be due yet, so this one counts still. `since`: of a dark site, when it became so. `begins`: from
    when on the evidence is.
    """

    rule: Rule
    subject: Subject
    site_id: str | None
    observation: Observation
    timing: Timing
    seen: datetime | None
    reason: str
    evidence: Callable[[], dict[str, Any]]
    since: datetime | None = None
    begins: datetime | None = None
    goes_on: bool = False


@dataclass(frozen=True, slots=True)
class Device:
    """A vehicle or a meter as it reported last. Its site is its own, or its meter's.

    `received_at` is when its newest reading came, `late_at` when an older one came last: it may live, with a clock that was set back, or
    something on the way delivers what it had kept.
    """

    subject: Subject
    site_id: str | None
    received_at: datetime
    recorded_at: datetime
    rhythm_s: int
    is_charging: bool
    battery_temp_centi_c: int | None = None
    late_at: datetime | None = None

    @property
    def heard_at(self) -> datetime:
        """When anything came from it last."""
        return self.received_at if self.late_at is None or self.late_at < self.received_at else self.late_at

    @property
    def stale_s(self) -> int:
        """From so much silence on it is stale."""
        return STALE_RHYTHMS * max(self.rhythm_s, LEAST_RHYTHM_S)


def efficiency(
    vehicle_id: str,
    site_id: str | None,
    since: datetime,
    until: datetime,
    summary: Summary,
    judged: Margin | None,
    to: datetime,
    decides: bool = True,
) -> Iterable[Sighting]:
    """Both rules that an efficiency answers; `judged` where its verdict is ok or low. `to`: readings up to there were looked at; `decides`:
    as of an observation.
    """
    subject = Subject("vehicle", vehicle_id)
    rhythm_s = max(summary.evidence.dc.rhythm_s, summary.evidence.ac.rhythm_s)
    goes_on = rhythm_s > LEAST_RHYTHM_S and to - until < timedelta(seconds=rhythm_s)

    def evidence() -> dict[str, Any]:
        return efficiency_evidence(since, until, summary, judged)

    low = Observation(None)
    if judged:
        low = Observation(judged.margin, summary.severity or "warning", sure=surely(summary.evidence, judged), decides=decides)
    yield Sighting("low_efficiency", subject, site_id, low, PLAIN, until, summary.reason, evidence, begins=since, goes_on=goes_on)
    suspect = Observation(-1.0 if summary.verdict is Verdict.SUSPECT_MEASUREMENT else 1.0)
    yield Sighting("suspect_measurement", subject, site_id, suspect, PLAIN, until, summary.reason, evidence, goes_on=goes_on)


def surely(evidence: Evidence, judged: Margin) -> float:
    """The margin by which a vehicle is known to be well again."""
    return judged.sure - _edge(evidence)


def _edge(evidence: Evidence) -> float:
    """What the beginning of a charge shows too much of when the vehicle reads later than its meter: a reading's worth, next to that of an hour."""
    charging_s = evidence.plain_charging_s
    if not charging_s or charging_s >= _HOUR_S:
        return 0.0
    return max(evidence.dc.rhythm_s, evidence.ac.rhythm_s) * (1 / charging_s - 1 / _HOUR_S)


def silent(device: Device, settings: AlertSettings, now: datetime, is_known: bool) -> Sighting | None:
    """How long nothing came from a device; None for one that is gone, unless the rule `is_known` to stand somewhere for it."""
    silence = now - device.heard_at
    if silence > GONE and not is_known:
        return None
    kind, device_id = device.subject
    rhythm_s = max(device.rhythm_s, LEAST_RHYTHM_S)
    after = settings.of("device_silent", "afterRhythms", kind, device_id, device.site_id)
    stale_s = device.stale_s
    margin: float | None = stale_s - silence.total_seconds()
    # What was only late is a sign of life, but ends no silence: something on the way may deliver what it had kept.
    sure = stale_s - (now - device.received_at).total_seconds()
    if silence < -AHEAD:
        margin = None
    elif not device.is_charging and settings.of("device_silent", "onlyWhileCharging", kind, device_id, device.site_id):
        margin = sure = float(stale_s)

    def evidence() -> dict[str, Any]:
        return {
            "lastReceivedAt": _z(device.heard_at),
            "lastRecordedAt": _z(device.recorded_at),
            "rhythmS": device.rhythm_s,
            "silentS": round(silence.total_seconds()),
            "alertAfterS": round(after * rhythm_s),
            "charging": device.is_charging,
        }

    # Recovering outlasts what a single reading is good for.
    timing = Timing(hold_s=max(after - STALE_RHYTHMS, LEAST_CHANCES) * rhythm_s, recover_s=2 * stale_s, clear=0.0)
    reason = f"nothing received for {_lasting(silence)}; it reports every {device.rhythm_s} s"
    return Sighting("device_silent", device.subject, device.site_id, Observation(margin, sure=sure), timing, None, reason, evidence)


def hot(device: Device, settings: AlertSettings, now: datetime) -> Sighting:
    """How far the battery is below the temperature from which it is too hot; that temperature itself is."""
    limit_c = settings.of("battery_hot", "limitC", *device.subject, device.site_id)
    temp = device.battery_temp_centi_c
    margin = None if temp is None or now - device.recorded_at > TEMPERATURE_HOLDS else (round(limit_c * 100) - temp - 1) / 100

    def evidence() -> dict[str, Any]:
        return {"batteryTempC": None if temp is None else temp / 100, "limitC": limit_c, "recordedAt": _z(device.recorded_at)}

    reason = "no temperature known" if temp is None else f"the battery has {temp / 100:.1f} °C; {limit_c:g} °C is too hot"
    return Sighting(
        "battery_hot", device.subject, device.site_id, Observation(margin, "critical"), HOT, device.recorded_at, reason, evidence
    )


def dark(subject: Subject, devices: Sequence[Device], share_limit: float, now: datetime) -> Sighting | None:
    """How large a share of a site's devices, or of all, fell silent together and still is; None where they are too few to say."""
    if len(devices) < LEAST_DARK:
        return None
    away = sorted((d for d in devices if _is_stale(d, d.received_at, now)), key=lambda d: d.received_at)
    together = _without_living(_most_together(away), now)
    share = len(together) / len(devices) if len(together) >= LEAST_DARK else 0.0
    since = together[0].received_at if together else None

    def evidence() -> dict[str, Any]:
        return {
            "devices": len(devices),
            "silent": len(together),
            "share": round(share, 4),
            "since": _z(since) if since else None,
            "limitShare": share_limit,
            "examples": [d.subject.id for d in together[:_EXAMPLES]],
        }

    reason = f"{len(together)} of {len(devices)} devices fell silent within {TOGETHER // timedelta(minutes=1)} minutes"
    site_id = subject.id if subject.kind == "site" else None
    observation = Observation(share_limit - share, "critical")
    timing = _dark_timing(together)
    return Sighting("site_dark", subject, site_id, observation, timing, None, reason, evidence, since if share > share_limit else None)


def _dark_timing(together: Sequence[Device]) -> Timing:
    """After a step of our clock, or a restart, every device has the time to report again."""
    slowest_s = max((device.stale_s / STALE_RHYTHMS for device in together), default=0.0)
    return replace(DARK, hold_s=max(DARK.hold_s, LEAST_CHANCES * slowest_s))


def _is_stale(device: Device, heard_at: datetime, now: datetime) -> bool:
    return timedelta(seconds=device.stale_s) < now - heard_at <= GONE


def _without_living(together: Sequence[Device], now: datetime) -> Sequence[Device]:
    """Without those of whom only older readings come, where these are most: their clocks were set back. Else something on the way delivers
    what it had kept, which says nothing of now.
    """
    silent = [device for device in together if _is_stale(device, device.heard_at, now)]
    return silent if 2 * len(silent) < len(together) else together


def _most_together(away: Sequence[Device]) -> Sequence[Device]:
    """The most devices whose silence began within TOGETHER; `away` in the order in which it began."""
    best: Sequence[Device] = ()
    first = 0
    for last, device in enumerate(away):
        while device.received_at - away[first].received_at > TOGETHER:
            first += 1
        if last - first + 1 > len(best):
            best = away[first : last + 1]
    return best


def efficiency_evidence(since: datetime, until: datetime, summary: Summary, judged: Margin | None) -> dict[str, Any]:
    """What an efficiency was judged by, as it is kept and shown."""
    band = summary.band
    return {
        "windowFrom": _z(since),
        "windowTo": _z(until),
        "acKwh": summary.ac_kwh,
        "dcKwh": summary.dc_kwh,
        "lossKwh": summary.loss_kwh,
        "efficiencyRatio": summary.ratio,
        "judgedRatio": judged and judged.judged,
        "uncertainty": summary.uncertainty,
        "slack": judged and judged.slack,
        "expected": band and {"low": band.low, "high": band.high, "source": band.source},
        "threshold": judged and judged.line,
        "margin": judged and judged.margin,
        "coverage": {"vehicle": summary.coverage_vehicle, "meter": summary.coverage_meter},
        "readings": {"vehicle": summary.vehicle_readings, "meter": summary.meter_readings},
        "meterIds": list(summary.meter_ids),
        "verdict": str(summary.verdict),
        "severity": summary.severity,
        "reason": summary.reason,
    }


def _z(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


def _lasting(length: timedelta) -> str:
    minutes = round(length.total_seconds() / 60)
    if minutes < 120:
        return f"{minutes} min"
    hours = minutes / 60
    return f"{hours:.0f} h" if hours < 48 else f"{hours / 24:.0f} days"
