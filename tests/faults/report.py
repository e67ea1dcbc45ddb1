"""What every scenario measured: kept by the tests where FAULTS_REPORT names a file, written into docs/reliability.md by `python -m tests.faults.report FILE`."""

import json
import os
import platform
import sys
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

DOCUMENT = Path(__file__).parent.parent.parent / "docs" / "reliability.md"
BEGIN, END = "<!-- table: written by make test-faults -->", "<!-- end of table -->"
HEAD = (
    "| code | injected | acked | lost | twice | phantom | unknown | resent, found there | refused | 500s | back after |\n"
    "|---|---|---|---|---|---|---|---|---|---|---|\n"
)
LOAD_BEGIN = "<!-- table of load and abuse: written by make test-faults -->"
LOAD_HEAD = "| code | what came | measured | acked | lost | twice | phantom | refused | 500s |\n|---|---|---|---|---|---|---|---|---|\n"


@dataclass(frozen=True, slots=True)
class Row:
    """A scenario's outcome. `back_s`: seconds without an ack, or from the end of the fault to the first; None: not asked."""

    code: str
    injected: str
    acked: int
    lost: int
    twice: int
    phantom: int
    unknown: int
    duplicates: int
    refused: int
    errors_500: int
    back_s: float | None
    note: str = ""

    def line(self) -> str:
        """As the table shows it."""
        back = "" if self.back_s is None else f"{self.back_s:.1f} s"
        said = f"{self.injected}; {self.note}" if self.note else self.injected
        numbers = (self.acked, self.lost, self.twice, self.phantom, self.unknown, self.duplicates, self.refused, self.errors_500)
        return f"| {self.code} | {said} | {' | '.join(f'{n:,}' for n in numbers)} | {back} |\n"

    def load_line(self) -> str:
        """As the table of load and abuse shows it: there what was measured stands by itself."""
        numbers = (self.acked, self.lost, self.twice, self.phantom, self.refused, self.errors_500)
        return f"| {self.code} | {self.injected} | {self.note} | {' | '.join(f'{n:,}' for n in numbers)} |\n"


def keep(row: Row) -> None:
    """Add a row to the file that FAULTS_REPORT names, if it does; print it for who reads along."""
    print(row.line())  # noqa: T201 - pytest shows it where a test fails
    if kept := os.environ.get("FAULTS_REPORT"):
        with Path(kept).open("a") as file:
            file.write(json.dumps(asdict(row)) + "\n")


def write(kept: Path, document: Path = DOCUMENT) -> None:
    """Put the rows into the document's two tables, ordered by code."""
    rows = [Row(**json.loads(line)) for line in kept.read_text().splitlines()]
    rows.sort(key=lambda row: (row.code[0], int("".join(c for c in row.code if c.isdigit()) or 0), row.injected))
    faults, load = [one.line() for one in rows if one.code[0] != "L"], [one.load_line() for one in rows if one.code[0] == "L"]
    text = _with_table(document.read_text(), BEGIN, HEAD + "".join(faults))
    document.write_text(_with_table(text, LOAD_BEGIN, LOAD_HEAD + "".join(load)))


def _with_table(text: str, begin: str, table: str) -> str:
    made = f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, Python {platform.python_version()}, everything on one machine:"
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(END)
    return f"{before}{begin}\n{made}\n\n{table}{END}{after}"


if __name__ == "__main__":
    write(Path(sys.argv[1]))
