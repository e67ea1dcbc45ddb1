"""What devices post, from the bytes of a request to its receipt. Every way in (event loop, WSGI, Flask) is this one."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from api.body import Head, json_value, refuse_by_head
from api.committer import Committer, NotStored, Submission
from api.errors import Answer, Problem, answer, faults, new_request_id, problem_answer, request_id_of, unavailable
from api.keys import bound
from api.keys.gate import OPEN, Gate, Presented
from api.keys.ring import Known
from api.schemas import METER_WIRE, REFUSED, VEHICLE_WIRE, Clock, Fault, Wire, device_id
from db.ingest import Outcome, Reading
from db.intake_log import Sample
from db.sides import METER, VEHICLE

ROUTES = {"/v1/telemetry/vehicle": VEHICLE_WIRE, "/v1/telemetry/meter": METER_WIRE, "/v1/telemetry/batch": None}


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request may bring: sizes in bytes and readings, times in seconds."""

    body_bytes: int
    inflated_bytes: int
    batch_readings: int
    clock_ahead_s: int
    oldest_reading_days: int | None
    commit_wait_s: float


@dataclass(slots=True)
class Plan:
    """A request after validation: its rows with the index of each in the request, and what is wrong with the others.

    `faulty` counts the others by side; `samples` has a case of each code that is wrong with them.
    """

    request_id: str
    vehicles: list[Reading]
    meters: list[Reading]
    indexes: list[int]
    bad: list[Fault]
    received: int
    pointers: Callable[[int], str]
    faulty: dict[str, int] = field(default_factory=dict)
    samples: dict[str, Sample] = field(default_factory=dict)


class Intake:
    """Validates, hands over to the committer and words the receipt. `now` is the server's clock, `gate` asks for keys.

    `given_ids`: a proxy of ours gives every request its X-Request-Id.
    """

    def __init__(
        self, committer: Committer, limits: Limits, now: Callable[[], datetime], gate: Gate = OPEN, given_ids: bool = False
    ) -> None:
        self.committer, self.limits, self._now, self.gate, self._given_ids = committer, limits, now, gate, given_ids

    def request_id(self, presented: Presented) -> str:
        """What this request is called in its answer and in the log."""
        return request_id_of(presented.request_id) if self._given_ids else new_request_id()

    def take(self, route: str, head: Head, read: Callable[[int], bytes], presented: Presented) -> Answer:
        """The answer, after the commit; the caller's thread waits for it. `read(n)` gives at most n bytes of the body."""
        request = self.request_id(presented)
        try:
            self.refuse_early()
            known = self.gate.admit(presented, "write")
            refuse_by_head(head, self.limits.body_bytes)
            plan = self._plan(route, head, read(self.limits.body_bytes + 1), request, known)
            return self._receipt(plan, self._commit(plan, known))
        except Problem as problem:
            return self.refused(problem, request)

    def begin(self, route: str, head: Head, raw: bytes, presented: Presented, finished: "Callable[[Pending], None]") -> "Answer | Pending":
        """The answer where it is known at once; else a committing thread calls `finished` with what is returned here."""
        request = self.request_id(presented)
        try:
            known = self.gate.admit(presented, "write")
            refuse_by_head(head, self.limits.body_bytes)
            plan = self._plan(route, head, raw, request, known)
            if not plan.vehicles and not plan.meters:
                return self._receipt(plan, [])
            pending = Pending(self, plan)
            with _paid_back(plan, known):
                self.committer.enqueue(plan.vehicles, plan.meters, lambda submission: finished(pending.done(submission)))
            return pending
        except Problem as problem:
            return self.refused(problem, request)

    def refused(self, problem: Problem, request: str) -> Answer:
        """The problem's answer, counted unless it is a receipt: that has counted its readings."""
        if "received" not in problem.extra:
            self.committer.tally.refused(self._now(), problem.kind)
        return problem_answer(problem, request)

    def refuse_early(self) -> None:
        """Raise Problem 503 where a body would be read and parsed for nothing."""
        try:
            self.committer.refuse_early()
        except NotStored as refusal:
            raise unavailable(refusal.kind, str(refusal)) from None

    def refusal(self) -> Answer | None:
        """The 503 that `refuse_early` raises, if it does."""
        try:
            self.refuse_early()
        except Problem as problem:
            return self.refused(problem, new_request_id())
        return None

    def _plan(self, route: str, head: Head, raw: bytes, request: str, known: Known | None) -> Plan:
        body = json_value(head, raw, self.limits.body_bytes, self.limits.inflated_bytes)
        clock = Clock.at(self._now(), self.limits.clock_ahead_s, self.limits.oldest_reading_days)
        wire = ROUTES[route]
        plan = self._side(wire, body, clock, request, known) if wire else self._batch(body, clock, request, known)
        if known is not None:
            self._charge(plan, known)
        return plan

    def _charge(self, plan: Plan, known: Known) -> None:
        """The first reading was paid for at the gate, before anybody knew how many there are."""
        if known.account.bucket and plan.received > 1:
            known.account.bucket.take(plan.received - 1)
        if bound.FORBIDDEN in plan.samples:
            self.gate.foreign(known)

    def _side(self, wire: Wire, body: Any, clock: Clock, request: str, known: Known | None) -> Plan:
        if isinstance(body, dict):
            items, pointer = [body], ""
        elif isinstance(body, list):
            items, pointer = body, "/{}"
        else:
            raise Problem(400, "not_a_reading", "Bad Request", "the body is one reading (a JSON object) or an array of readings")
        self._refuse_giant(len(items))
        rows, indexes, bad = bound.readings(wire, items, clock, pointer, 0, known)
        vehicles, meters = (rows, []) if wire is VEHICLE_WIRE else ([], rows)
        return Plan(
            request, vehicles, meters, indexes, bad, len(items), pointer.format, *_blamed(bad, {wire: items}, {wire.side.name: len(rows)})
        )

    def _batch(self, body: Any, clock: Clock, request: str, known: Known | None) -> Plan:
        if not isinstance(body, dict):
            raise Problem(400, "not_a_batch", "Bad Request", 'the body is an object {"vehicles": [...], "meters": [...]}')
        vehicles, meters = body.get("vehicles", []), body.get("meters", [])
        _refuse_misshapen(body, vehicles, meters)
        self._refuse_giant(len(vehicles) + len(meters))

        def pointers(index: int) -> str:
            return f"/vehicles/{index}" if index < len(vehicles) else f"/meters/{index - len(vehicles)}"

        vehicle_rows, vehicle_indexes, vehicle_faults = bound.readings(VEHICLE_WIRE, vehicles, clock, "/vehicles/{}", 0, known)
        meter_rows, meter_indexes, meter_faults = bound.readings(METER_WIRE, meters, clock, "/meters/{}", len(vehicles), known)
        indexes, bad = vehicle_indexes + meter_indexes, vehicle_faults + meter_faults
        kept = {VEHICLE.name: len(vehicle_rows), METER.name: len(meter_rows)}
        blamed = _blamed(bad, {VEHICLE_WIRE: vehicles, METER_WIRE: meters}, kept)
        return Plan(request, vehicle_rows, meter_rows, indexes, bad, len(vehicles) + len(meters), pointers, *blamed)

    def _refuse_giant(self, count: int) -> None:
        most = self.limits.batch_readings
        if count > most:
            raise Problem(413, "batch_too_large", "Content Too Large", f"{count} readings in one request; {most} is the limit")

    def _commit(self, plan: Plan, known: Known | None) -> list[Outcome]:
        if not plan.vehicles and not plan.meters:
            return []
        with _paid_back(plan, known):
            return self.committer.submit(plan.vehicles, plan.meters, self.limits.commit_wait_s)

    def receipt(self, plan: Plan, submission: Submission) -> Answer:
        """The answer to a request that was committed, or was not."""
        try:
            if submission.failure:
                raise unavailable(submission.failure.kind, str(submission.failure))
            return self._receipt(plan, submission.outcomes)
        except Problem as problem:
            return self.refused(problem, plan.request_id)

    def _receipt(self, plan: Plan, outcomes: list[Outcome]) -> Answer:
        accepted, duplicates = outcomes.count(Outcome.ACCEPTED), outcomes.count(Outcome.DUPLICATE)
        rejected = plan.received - accepted - duplicates
        errors = _errors(plan, outcomes) if rejected else []
        counts: dict[str, Any] = {"received": plan.received, "accepted": accepted, "duplicates": duplicates, "rejected": rejected}
        if errors:
            self._count(plan, outcomes, errors)
        if rejected and rejected == plan.received:
            if all(fault["code"] == bound.FORBIDDEN for fault in errors):
                raise Problem(403, bound.FORBIDDEN, "Forbidden", "this key may write none of these devices", **counts, **faults(errors))
            detail = "the reading was not stored" if rejected == 1 else "none of the readings was stored"
            raise Problem(422, "invalid_readings", "Unprocessable Content", detail, **counts, **faults(errors))
        status = 207 if errors else 201 if accepted else 200
        return answer({"requestId": plan.request_id, **counts, **faults(errors)}, status, plan.request_id)

    def _count(self, plan: Plan, outcomes: list[Outcome], errors: list[Fault]) -> None:
        """What was rejected, for whoever runs it; a reading that a commit refused was counted by it."""
        samples = dict(plan.samples)
        for reading, outcome in zip([*plan.vehicles, *plan.meters], outcomes, strict=True):
            if outcome in REFUSED:
                code, detail = REFUSED[outcome]
                samples.setdefault(code, {"deviceId": reading[0], "pointer": "/timestamp", "detail": detail})
        self.committer.tally.rejected(self._now(), plan.faulty, Counter(str(fault["code"]) for fault in errors), samples)


@contextmanager
def _paid_back(plan: Plan, known: Known | None) -> Iterator[None]:
    """What was not stored because of us costs the key nothing: it has to be sent again. Raises Problem 503 for NotStored."""
    try:
        yield
    except NotStored as refusal:
        if known is not None and known.account.bucket:
            known.account.bucket.take(-plan.received)
        raise unavailable(refusal.kind, str(refusal)) from None


@dataclass(slots=True, eq=False)
class Pending:
    """A request whose readings wait for their commit."""

    intake: Intake
    plan: Plan
    submission: Submission | None = None

    def done(self, submission: Submission) -> "Pending":
        """The commit is over, one way or the other."""
        self.submission = submission
        return self

    def finish(self) -> Answer:
        """The receipt, once done."""
        return self.intake.receipt(self.plan, self.submission) if self.submission else self.timed_out()

    def timed_out(self) -> Answer:
        """The answer where the commit takes too long: not confirmed."""
        refusal = self.intake.committer.late(self.intake.limits.commit_wait_s)
        return self.intake.refused(unavailable(refusal.kind, str(refusal)), self.plan.request_id)


def _errors(plan: Plan, outcomes: list[Outcome]) -> list[Fault]:
    refused = [
        {"index": index, "pointer": plan.pointers(index), "code": REFUSED[outcome][0], "detail": REFUSED[outcome][1]}
        for index, outcome in zip(plan.indexes, outcomes, strict=True)
        if outcome in REFUSED
    ]
    return sorted(plan.bad + refused, key=lambda fault: int(str(fault["index"])))


def _blamed(bad: list[Fault], items: dict[Wire, list[Any]], kept: dict[str, int]) -> tuple[dict[str, int], dict[str, Sample]]:
    """How many readings are faulty by side, and a case of each code: who, where and why, and nothing else of what was sent."""
    if not bad:
        return {}, {}
    in_order = [(wire, item) for wire, some in items.items() for item in some]
    samples: dict[str, Sample] = {}
    for fault in bad:
        code = str(fault["code"])
        if code not in samples:
            wire, item = in_order[int(str(fault["index"]))]
            field_of = "/" + str(fault["pointer"]).rpartition("/")[2]
            samples[code] = {"deviceId": device_id(wire, item), "pointer": field_of, "detail": str(fault["detail"])}
    return {wire.side.name: len(some) - kept[wire.side.name] for wire, some in items.items()}, samples


def _refuse_misshapen(body: dict[str, Any], vehicles: Any, meters: Any) -> None:
    errors: list[Fault] = []
    if "vehicles" not in body and "meters" not in body:
        errors.append(
            {"index": 0, "pointer": "/vehicles", "code": "missing_field", "detail": "vehicles or meters is missing; an empty array is fine"}
        )
    for name, value in (("vehicles", vehicles), ("meters", meters)):
        if not isinstance(value, list):
            errors.append({"index": 0, "pointer": f"/{name}", "code": "wrong_type", "detail": f"{name} is an array of readings"})
    if errors:
        raise Problem(
            422, "invalid_readings", "Unprocessable Content", "the batch has not the shape of one; nothing is stored", **faults(errors)
        )
