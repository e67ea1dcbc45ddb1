"""The programs that the command line keeps running beside itself."""

import contextlib
import logging
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

from db import tether

log = logging.getLogger(__name__)

HEALTHY_AFTER_S = 30.0  # a program that lived this long did not fail at starting
LONGEST_PAUSE_S = 30.0


class Child:
    """A program that is started again when it dies, after a pause that doubles while it dies young, and never outlives us.

    Start and tend it from the main thread: on Linux the kernel ends it with the thread that started it (see `db.tether`).
    `stop_within_s` is how long it may take to end after SIGTERM. `pass_fds` are open files it inherits; its environment is ours unless one is given. One that `may_finish` is not
    started again after it ended with code 0.
    """

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        *,
        stop_within_s: float,
        pass_fds: Sequence[int] = (),
        may_finish: bool = False,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.failures = 0  # deaths in a row that came early
        self._argv = argv
        self._stop_within_s = stop_within_s
        self._pass_fds = pass_fds
        self._may_finish = may_finish
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None
        self._born = 0.0
        self._start_again_at: float | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Starts the program in a session of its own, so that Ctrl-C reaches us alone and we end it in our order."""
        command = tether.command(self._argv, at_parent_death=signal.SIGTERM)
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, pass_fds=self._pass_fds, start_new_session=True, env=self._environment
        )
        self._born, self._start_again_at = time.monotonic(), None

    def tend(self) -> None:
        """Says when the program died and starts it again when its pause is over. Call it often."""
        now = time.monotonic()
        if self._start_again_at is not None:
            if now >= self._start_again_at:
                self.start()
        elif self._process is not None and (code := self._process.poll()) is not None and not (code == 0 and self._may_finish):
            self.failures = self.failures + 1 if now - self._born < HEALTHY_AFTER_S else 1
            pause = min(0.5 * 2 ** (self.failures - 1), LONGEST_PAUSE_S)
            log.warning("%s ended with code %s and is started again in %.1f s", self.name, code, pause)
            self._start_again_at = now + pause

    def stop(self) -> None:
        """Asks the program to end, waits, and ends it by force when it takes too long."""
        if self._process is None:
            return
        for ask, patience in ((signal.SIGTERM, self._stop_within_s), (signal.SIGKILL, 5.0)):
            if self._process.poll() is None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.send_signal(ask)
                    self._process.wait(patience)
        self._process = None
