"""The two ways that are hot enough to go round Flask: readings in, one vehicle's 24 hours out. Both gather many requests for one transaction.

`begin` never waits. What has to wait is finished by a thread that does the work for many, and then says the answer.
"""

from collections.abc import Callable
from typing import Protocol

from api.asking import Asker
from api.errors import Answer, Problem, problem_answer
from api.intake import Intake
from api.keys.gate import Presented
from api.plain_http import PlainRequest
from api.watching.requests import PERFORMANCE, TELEMETRY, RequestTimes

LANES = "voltledger-lanes"  # under this name a Flask application keeps them, and our gunicorn worker finds them


class Waiting(Protocol):
    """A request that waits for others' work."""

    def finish(self) -> Answer:
        """The answer, once it has been said to be finished."""

    def timed_out(self) -> Answer:
        """The answer where that takes too long."""


class Lanes:
    """`begin` with a plain request; `wait_s` is how long one may wait. `own_sockets`: a socket is one sender's, and no proxy's for many."""

    def __init__(self, intake: Intake, asker: Asker, times: RequestTimes) -> None:
        self._intake, self._asker = intake, asker
        self.answered = times.answered
        self.wait_s = intake.limits.commit_wait_s
        self.own_sockets = intake.gate.proxies == 0

    def kind(self, request: PlainRequest) -> str:
        """What it asks for, in the words of the metrics."""
        return TELEMETRY if request.vehicle_id is None else PERFORMANCE

    def refusal(self, request: PlainRequest) -> Answer | None:
        """The 503 for a request that would be parsed for nothing, if it would."""
        return self._intake.refusal() if request.vehicle_id is None else None

    def begin(self, request: PlainRequest, address: str, finished: Callable[[Waiting], None]) -> Answer | Waiting:
        """The answer where it is known at once; else `finished` is called, by another thread, with what is returned here.

        `address` is whose socket it came from.
        """
        presented = Presented(request.authorization, address, request.forwarded, request.request_id)
        if request.vehicle_id is not None:
            request_id = self._intake.request_id(presented)
            try:
                self._intake.gate.admit(presented, "read")
            except Problem as problem:
                return problem_answer(problem, request_id)
            return self._asker.begin(request.vehicle_id, finished, request_id)
        return self._intake.begin(request.route, request.head, request.body, presented, finished)
