"""Many questions for a vehicle's last 24 hours, one query: questions wait, a thread takes what is there and reads for all of them at once.

A query for thirty vehicles costs little more than three for one each. Alone, a question is asked at once.
"""

import threading
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from api.errors import Answer, Problem, answer, new_request_id, problem_answer, unavailable
from api.words import WINDOW, as_performance
from charging.verdict import Summary
from db.engine import Conn
from db.queries import performance
from db.queries.policies import Policies

log = structlog.get_logger()

THREADS = 2  # while one waits for the database the other words its answers
MOST_AT_ONCE = 64  # vehicles in one query: a few milliseconds, so that nobody waits for a giant
MOST_WAITING = 2_500  # about two seconds' worth


@dataclass(slots=True, eq=False)
class Question:
    """`finished` is called with it once `summary` (None: never heard of) up to `at`, or `failure`, is there."""

    vehicle_id: str
    request_id: str
    finished: Callable[["Question"], None]
    at: datetime | None = None
    summary: Summary | None = None
    failure: Problem | None = None

    def finish(self) -> Answer:
        """The answer; 404 where no meter is assigned to the vehicle."""
        if self.failure:
            return problem_answer(self.failure, self.request_id)
        if self.at is None or self.summary is None or not self.summary.meter_ids:
            return problem_answer(Problem(404, "mapping_not_found", "Not Found", "Mapping not found"), self.request_id)
        return answer(as_performance(self.vehicle_id, self.summary, self.at, self.at), 200, self.request_id)

    def timed_out(self) -> Answer:
        """The answer where reading takes too long."""
        return problem_answer(unavailable("database_unavailable", "the database did not answer in time"), self.request_id)


class Asker:
    """`connect` gives a connection for reading, or raises Problem 503. Its threads start with the first question."""

    def __init__(
        self,
        connect: Callable[[], AbstractContextManager[Conn]],
        policies: Policies,
        now: Callable[[], datetime],
        threads: int = THREADS,
    ) -> None:
        self._connect, self._policies, self._now, self._threads = connect, policies, now, threads
        self._waiting: deque[Question] = deque()
        self._changed = threading.Condition(threading.Lock())
        self._started = False

    def ask(self, vehicle_id: str, wait_s: float, request_id: str = "") -> Answer:
        """The answer, now; the caller's thread waits for it."""
        done = threading.Lock()
        done.acquire()
        begun = self.begin(vehicle_id, lambda _: done.release(), request_id)
        if isinstance(begun, Answer):
            return begun
        return begun.finish() if done.acquire(timeout=wait_s) else begun.timed_out()

    def begin(self, vehicle_id: str, finished: Callable[[Question], None], request_id: str = "") -> Answer | Question:
        """Put a question to those that wait; the answer is its `finish` once `finished` was called with it. 503 where too many wait."""
        question = Question(vehicle_id, request_id or new_request_id(), finished)
        with self._changed:
            if len(self._waiting) >= MOST_WAITING:
                return problem_answer(unavailable("overloaded", "too many ask at once"), question.request_id)
            self._start()
            self._waiting.append(question)
            self._changed.notify()
        return question

    def _start(self) -> None:
        if not self._started:
            self._started = True
            for n in range(self._threads):
                threading.Thread(target=self._run, name=f"asker-{n}", daemon=True).start()

    def _run(self) -> None:
        while True:
            some = self._take()
            self._look_up(some)
            for question in some:
                question.finished(question)

    def _take(self) -> list[Question]:
        with self._changed:
            while not self._waiting:
                self._changed.wait()
            return [self._waiting.popleft() for _ in range(min(MOST_AT_ONCE, len(self._waiting)))]

    def _look_up(self, some: list[Question]) -> None:
        at = self._now().astimezone(UTC)
        try:
            with self._connect() as conn:
                found = performance.summaries(conn, at - WINDOW, at, sorted({q.vehicle_id for q in some}), self._policies)
            for question in some:
                question.at, question.summary = at, found.get(question.vehicle_id)
        except Problem as problem:
            for question in some:
                question.failure = problem
        except Exception as error:
            log.exception("asking_failed", error=type(error).__name__)
            for question in some:
                question.failure = Problem(500, "internal", "Internal Server Error", "something went wrong here")
