"""A herd: 20,000 single posts at one instant, from 2,000 sockets that are open already."""

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime

from bench.databases import number
from bench.installation import BenchError, Installation
from bench.posts import of_device
from bench.processes import PeakMemory
from bench.readings import first_minute
from bench.swarm import Group, Swarm, Tally
from bench.table import Line, Spread

SOCKETS = 2000
POSTS_EACH = 10
WITHIN_S = 15.0
MORE_MEMORY_MB = 50.0
# A device that was refused waits what the server says, 1 to 30 s; here a tenth of it, so that a herd that is refused shows in seconds.
RETRY_SCALE = 0.1
_GIVE_UP_S = 120.0


@dataclass(frozen=True, slots=True)
class Herd:
    """`took_s` is from the first post to the last acknowledgement; memory is the web processes' at its peak less before."""

    took_s: float
    tally: Tally = field(repr=False)
    more_memory_mb: float


def lines(target: Installation, rounds: int = 3, sockets: int = SOCKETS, posts_each: int = POSTS_EACH) -> list[Line]:
    """Time and memory of a herd. Raises BenchError when a reading was lost, or not all were acknowledged."""
    run(target, "warm", sockets // 10, posts_each)
    herds = [run(target, f"herd-{turn}", sockets, posts_each) for turn in range(rounds)]
    what = f"herd of {sockets * posts_each:,} posts from {sockets:,} sockets"
    return [
        Line(f"{what}: all acknowledged", Spread.of(h.took_s for h in herds), "s", bar=WITHIN_S, less_is_better=True, note=_words(herds)),
        Line(f"{what}: memory of the web", Spread.of(h.more_memory_mb for h in herds), "MB more", bar=MORE_MEMORY_MB, less_is_better=True),
    ]


def run(target: Installation, name: str, sockets: int, posts_each: int) -> Herd:
    """One herd of devices whose names begin with `name`."""
    start = first_minute(datetime.now(UTC)) * 60
    group = Group([of_device(f"{name}-{device:05d}", start, posts_each) for device in range(sockets)], retry_scale=RETRY_SCALE)
    with Swarm(target.endpoint, [group]) as swarm:
        time.sleep(0.5)  # the server takes the sockets in
        memory = PeakMemory(process.pid for process in target.web())
        began = swarm.run(_GIVE_UP_S, meanwhile=memory.look)
    _check(target, name, group.tally, sockets * posts_each)
    return Herd(group.tally.last_answer_s() - began, group.tally, memory.more_mb)


def _check(target: Installation, name: str, tally: Tally, expected: int) -> None:
    stored = int(number(target.database_url, "SELECT count(*) FROM vehicle_history WHERE vehicle_id LIKE %s", (f"{name}-%",)))
    if tally.others or tally.misshapen_refusals:
        raise BenchError(f"unexpected answers: {tally.misshapen_refusals} refusals without Retry-After, {dict(tally.others)}")
    if not len(tally.good) == stored == expected:
        raise BenchError(f"MISMATCH: {expected:,} readings, {len(tally.good):,} acknowledged, {stored:,} stored")


def _words(herds: list[Herd]) -> str:
    refused, resets = (max(values) for values in zip(*((len(h.tally.refused), h.tally.resets) for h in herds), strict=True))
    p50, p99 = (Spread.of(h.tally.since_due_ms(percent) for h in herds).median for percent in (50, 99))
    return f"none lost; refusals {refused:,}, resets {resets:,} at most; p50 {p50:.0f} ms, p99 {p99:.0f} ms from its first try"
