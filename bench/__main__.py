"""Measures, prints a table, and says what is missing. Exit code 1 when figures would not be honest, or the product does not run."""

import argparse
import importlib
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

import psycopg

from bench import batches, herd, mixed, overload, peers, singles
from bench.installation import PROJECT, BenchError, Installation, Missing, installation
from bench.machine import described
from bench.table import Line, Spread, markdown, notes
from db.embedded import running_url

DOCUMENT = PROJECT / "docs" / "benchmarks.md"
Section = tuple[list[Line], str]  # and the version of the PostgreSQL that was measured


def _on_a_fresh_installation(measure: Callable[[Installation, bool], list[Line]]) -> Callable[[bool], Section]:
    def run(quick: bool) -> Section:
        with installation() as target:
            return measure(target, quick), _version(target.database_url)

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


def _way_out(_quick: bool) -> Section:
    """On the data set, wherever it was loaded: it takes too long to make for this alone."""
    try:
        figures: dict[str, float] = importlib.import_module("bench.way_out").figures(url := _data_set())
    except ModuleNotFoundError:
        raise Missing("bench/way_out.py is not there") from None
    return [Line(name, Spread((value,)), "") for name, value in figures.items()], _version(url)


def _data_set() -> str:
    url = os.environ.get("DATABASE_URL") or running_url(Path(os.environ.get("VOLTLEDGER_DATA_DIR", ".data")))
    if not url:
        raise Missing("no data set: load it with `make dataset`, and start the product or set DATABASE_URL")
    return url


MEASUREMENTS: dict[str, Callable[[bool], Section]] = {
    "singles": _on_a_fresh_installation(_singles),
    "batches": _on_a_fresh_installation(_batches),
    "herd": _on_a_fresh_installation(_herd),
    "overload": _on_a_fresh_installation(_overload),
    "mixed": _on_a_fresh_installation(_mixed),
    "way_out": _way_out,
}


def main(arguments: list[str] | None = None) -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=f"what to measure: {', '.join(MEASUREMENTS)}")
    parser.add_argument("--quick", action="store_true", help="short rounds and small numbers: rough figures in two minutes")
    parser.add_argument("--write", action="store_true", help=f"keep each table in {DOCUMENT.relative_to(PROJECT)}")
    asked = parser.parse_args(arguments)
    if unknown := set(asked.names) - set(MEASUREMENTS):
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    if asked.quick and asked.write:
        parser.error("rough figures are not kept")
    failed = [name for name in asked.names or MEASUREMENTS if not _measured(name, quick=asked.quick, write=asked.write)]
    return 1 if failed else 0


def _measured(name: str, *, quick: bool, write: bool) -> bool:
    """Measures one thing and shows it; False when that went wrong."""
    print(f"\n## {name}\n", flush=True)
    try:
        lines, postgres = MEASUREMENTS[name](quick)
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


def _version(url: str) -> str:
    with psycopg.connect(url) as connection:
        return connection.info.parameter_status("server_version") or "unknown"


if __name__ == "__main__":
    sys.exit(main())
