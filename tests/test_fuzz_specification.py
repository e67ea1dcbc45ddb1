"""V15: schemathesis asks everything our specification allows, and much that it does not, of a real server."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fuzz_support import MOST_SECONDS, SECONDS, seed
from tests.support import fresh_database
from tests.test_worker import Server

# Open, without keys: one of its own would sooner or later be revoked by what it tries, and then nothing more would be reached.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(MOST_SECONDS)]
# An invalid reading among valid ones is a 207, so "wrong data must be refused" is no claim of ours; every other check is.
CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,response_schema_conformance,"
    "unsupported_method,allow_header_conformance"
)
KEPT_OUTPUT = 8_000


@pytest.fixture(scope="module")
def server(postgres_url: str, template_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("fuzz")
    with fresh_database(postgres_url, template_database, "fuzz_specification") as url:
        running = Server(url, log=folder / "log")
        try:
            yield running
        finally:
            assert running.stop() == 0


def test_v15_no_answer_is_an_error_of_ours_or_outside_the_specification(server: Server, tmp_path: Path) -> None:
    chosen = seed()
    program = Path(sys.executable).with_name("schemathesis")
    options = {
        "--max-time": str(round(SECONDS)),
        "--checks": CHECKS,
        "--seed": str(chosen),
        "--max-failures": "20",
        "--generation-database": "none",
        "--request-timeout": "30",
    }
    flat = [part for option in options.items() for part in option]
    done = subprocess.run(
        [program, "--no-color", "run", f"http://127.0.0.1:{server.port}/api/openapi.json", "--continue-on-failure", *flat],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"FUZZ_SEED={chosen}\n{done.stdout[-KEPT_OUTPUT:]}{done.stderr[-KEPT_OUTPUT:]}"
    cases = re.search(r"(\d+) generated", done.stdout)
    assert cases
    assert int(cases[1]) > 5 * SECONDS, "hardly anything was asked"
    assert server.log
    assert not re.search(r'"event": ?"unexpected"', server.log.read_text())
    assert server.ask(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")[0] == 200
