"""`python -m bench [name…] [--quick]`: measures, prints the table, and says what could not be measured and why."""

import argparse
import sys
from collections.abc import Callable

from bench import batches, peers, singles
from bench.installation import BenchError, installation
from bench.table import Line, markdown, notes


def _batches(quick: bool) -> list[Line]:
    with installation() as target:
        return batches.lines(target, seconds=1, rounds=1) if quick else batches.lines(target)


def _singles(quick: bool) -> list[Line]:
    with installation() as target:
        return singles.lines(target, peers.find(), *((2, 1, (peers.NAIVE,)) if quick else ()))


MEASUREMENTS: dict[str, Callable[[bool], list[Line]]] = {"singles": _singles, "batches": _batches}


def main() -> int:
    """Exit code 1 when something could not be measured."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=f"what to measure: {', '.join(MEASUREMENTS)}")
    parser.add_argument("--quick", action="store_true", help="a look in a minute; figures are rough")
    asked = parser.parse_args()
    lines: list[Line] = []
    for name in asked.names or MEASUREMENTS:
        try:
            lines += MEASUREMENTS[name](asked.quick)
        except BenchError as error:
            print(f"{name}: {error}", file=sys.stderr)
    print(markdown(lines))
    print()
    print(notes(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
