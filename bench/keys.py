"""What it costs to ask for keys: single readings of 10,000 devices, each with a key of its own, next to the same without."""

import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import psycopg

from api.keys.ring import LOOK_EVERY_S
from api.keys.secret import Made, made
from bench.installation import Installation, Missing
from bench.singles import CONNECTIONS, DEVICES, NO_WRK, Clock, Turn, available, cpu, our_turn, words
from bench.table import Line, Spread

BAR = 0.9  # of the readings a second without keys
REQUIRED = {"VOLTLEDGER_REQUIRE_KEYS": "1"}
_SEEN_WITHIN_S = 3 * LOOK_EVERY_S


def lines(asking: Installation, open_to_all: Installation, seconds: int = 8, rounds: int = 5) -> list[Line]:
    """Rounds of two neighbours, of which each begins in turn. Raises Missing without wrk, BenchError where a reading was refused."""
    if not available():
        raise Missing(NO_WRK)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "keys"
        file.write_text("".join(f"{one.shown}\n" for one in _keys(asking.database_url)))
        time.sleep(_SEEN_WITHIN_S)
        with_keys: list[Turn] = []
        without: list[Turn] = []
        clock = Clock()
        for n in range(rounds):
            for asked in (True, False) if n % 2 else (False, True):
                target, keys, turns = (asking, file, with_keys) if asked else (open_to_all, None, without)
                turns.append(our_turn(target, clock, seconds, keys))
    note = f"with keys {words(with_keys)}, {cpu(with_keys)} a reading; without {words(without)}, {cpu(without)}; {rounds} rounds of {seconds} s"
    figures = [Spread.of(turn.per_s for turn in turns) for turns in (with_keys, without)]
    return [
        Line(
            f"single readings with {DEVICES:,} keys, {CONNECTIONS} connections",
            figures[0],
            "readings/s",
            "without keys",
            figures[1],
            BAR,
            note=note,
        )
    ]


def _keys(url: str) -> list[Made]:
    """A key for each of wrk's devices."""
    new, now = [made() for _ in range(DEVICES)], datetime.now(UTC)
    rows = [(one.key_id, [f"S{n:05d}"], one.secret_hash, now) for n, one in enumerate(new)]
    with psycopg.connect(url) as conn:
        conn.execute("UPDATE device_key_version SET version = version + 1")
        conn.cursor().executemany(
            """INSERT INTO device_key (key_id, name, rights, binding, vehicle_ids, secret_hash, created_at, created_by, version)
               VALUES (%s, 'bench', ARRAY['write'], 'device', %s, %s, %s, 'bench', (SELECT version FROM device_key_version))""",
            rows,
        )
    return new
