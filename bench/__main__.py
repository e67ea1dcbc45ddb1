"""Measures, prints a table, and says what is missing. Exit code 1 when figures would not be honest, or the product does not run."""

import argparse
import os
import re
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psycopg

from bench import alerting, batches, herd, keys, learning, mixed, overload, peers, singles, way_out
from bench.installation import PROJECT, BenchError, Installation, Missing, installation
from bench.machine import described
from bench.table import Line, markdown, notes
from db.embedded import EmbeddedPostgres

DATA_SET = Path(".data-bench")  # where `make dataset` leaves it
DOCUMENT = PROJECT / "docs" / "benchmarks.md"
Section = tuple[list[Line], str]  # and the version of the PostgreSQL that was measured


@dataclass(frozen=True, slots=True)
class Asked:
    """`quick` means rough; `settings` are the product's, where they are not to be the defaults."""

    quick: bool
    settings: dict[str, str]


def _fresh(measure: Callable[[Installation, bool], list[Line]]) -> Callable[[Asked], Section]:
    """The measurement on an installation of its own."""

    def run(asked: Asked) -> Section:
        with installation(asked.settings) as target:
            return measure(target, asked.quick), version(target.database_url)

    return run


def _singles(target: Installation, quick: bool) -> list[Line]:
    return singles.lines(target, peers.find(), 2, 1, (peers.NAIVE,)) if quick else singles.lines(target, peers.find())


def _batches(target: Installation, quick: bool) -> list[Line]:
    return batches.lines(target, 1.0, 1) if quick else batches.lines(target)


def _herd(target: Installation, quick: bool) -> list[Line]:
    return herd.lines(target, 1, 500, 4) if quick else herd.lines(target)


def _overload(target: Installation, quick: bool) -> list[Line]:
    return overload.lines(target, 5.0) if quick else overload.lines(target)


def _mixed(target: Installation, quick: bool) -> list[Line]:
    return mixed.lines(target, peers.find(), 2.0, 1, 100) if quick else mixed.lines(target, peers.find())


def _way_out(_asked: Asked) -> Section:
    """On the data set, wherever it was loaded: it takes too long to make for this alone."""
    if url := os.environ.get("DATABASE_URL"):
        return way_out.lines(url), version(url)
    if not DATA_SET.exists():
        raise Missing("no data set: load it with `make dataset`, or set DATABASE_URL to one")
    with EmbeddedPostgres(DATA_SET, shared_buffers_mb=2048) as server:
        return way_out.lines(server.url), version(server.url)


def _learning(asked: Asked) -> Section:
    with learning.database() as url:
        return (learning.lines(url, 500, 3.0) if asked.quick else learning.lines(url)), version(url)


def _alerting(asked: Asked) -> Section:
    with learning.database() as url:
        return (alerting.lines(url, 500, 65.0) if asked.quick else alerting.lines(url)), version(url)


def _keys(asked: Asked) -> Section:
    with installation({**asked.settings, **keys.REQUIRED}) as asking, installation(asked.settings) as open_to_all:
        return (keys.lines(asking, open_to_all, 2, 1) if asked.quick else keys.lines(asking, open_to_all)), version(asking.database_url)


MEASUREMENTS: dict[str, Callable[[Asked], Section]] = {
    "singles": _fresh(_singles),
    "keys": _keys,
    "batches": _fresh(_batches),
    "herd": _fresh(_herd),
    "overload": _fresh(_overload),
    "mixed": _fresh(_mixed),
    "way_out": _way_out,
    "learning": _learning,
    "alerting": _alerting,
}


def main(arguments: list[str] | None = None) -> int:
    """The exit code."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is ended
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=f"what to measure: {', '.join(MEASUREMENTS)}")
    parser.add_argument("--quick", action="store_true", help="short rounds and small numbers: rough figures in two minutes")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="another setting, as VOLTLEDGER_WEB_PROCESSES=2")
    parser.add_argument("--write", action="store_true", help=f"keep each table in {DOCUMENT.relative_to(PROJECT)}")
    given = parser.parse_args(arguments)
    if unknown := set(given.names) - set(MEASUREMENTS):
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    if given.write and (given.quick or given.set):
        parser.error("only full figures of the default settings are kept")
    asked = Asked(given.quick, dict(one.split("=", 1) for one in given.set))
    failed = [name for name in given.names or MEASUREMENTS if not _measured(name, asked, write=given.write)]
    return 1 if failed else 0


def _measured(name: str, asked: Asked, *, write: bool) -> bool:
    """Measures one thing and shows it; False when that went wrong."""
    print(f"\n## {' '.join((name, *(f'{setting}={value}' for setting, value in asked.settings.items())))}\n", flush=True)
    try:
        lines, postgres = MEASUREMENTS[name](asked)
    except Missing as error:
        print(f"not measured: {error}", flush=True)
        return True
    except BenchError as error:
        print(f"not measured: {error}", flush=True)
        return False
    text = f"{markdown(lines)}\n\n{notes(lines)}\n\n{described(postgres)}"
    print(text, flush=True)
    if write:
        DOCUMENT.write_text(replaced(DOCUMENT.read_text(), name, text))
    return True


def replaced(document: str, name: str, text: str) -> str:
    """The document with another text between the markers of this name. Raises BenchError where there are none."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    made, count = re.subn(f"(?s){begin}.*?{end}", lambda _: f"{begin}\n{text}\n{end}", document)
    if count != 1:
        raise BenchError(f"{DOCUMENT.name} has not one place for {name}")
    return made


def version(url: str) -> str:
    with psycopg.connect(url) as connection:
        return connection.info.parameter_status("server_version") or "unknown"


if __name__ == "__main__":
    sys.exit(main())
