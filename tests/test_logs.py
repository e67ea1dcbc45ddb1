"""Logs: one event a line, with the request's id, bounded, and without anything secret."""

import json
import re
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import structlog

import logs
from api import errors
from api.keys.gate import Presented
from api.lanes import LANES
from tests.support import api, van

SCRIPT = """
import logging, structlog, logs
logs.start("{how}")
log = structlog.get_logger()
try:
    raise RuntimeError("postgresql://volts:s3cr3t-planted@db/x")
except RuntimeError as error:
    log.error("commit_failed", exc_info=error, password="s3cr3t-planted", id="x\\r\\nforged\\x1b[31m")
logging.getLogger("psycopg.pool").warning("error connecting: %s", "password=s3cr3t-planted")
logging.getLogger("gunicorn.error").warning("started")
"""


def said(how: str) -> list[str]:
    ended = subprocess.run([sys.executable, "-c", SCRIPT.format(how=how)], capture_output=True, text=True, check=True, timeout=60)
    assert ended.stderr == ""
    return ended.stdout.splitlines()


def test_s13_elsewhere_than_on_a_terminal_every_line_is_one_event() -> None:
    """Ours and those of the libraries, with a traceback inside its line and no secret anywhere."""
    lines = said("auto")
    found = [json.loads(line) for line in lines]
    assert [(one["event"], one["level"]) for one in found] == [
        ("commit_failed", "error"),
        ("error connecting: password=[redacted]", "warning"),
        ("started", "warning"),
    ]
    assert "RuntimeError" in found[0]["exception"]
    assert found[1]["logger"] == "psycopg.pool"
    assert not [line for line in lines if "s3cr3t" in line or "\x1b" in line]


def test_s13_for_people_too_nothing_that_is_sent_begins_a_line_or_colours_it() -> None:
    lines = said("text")
    assert not [line for line in lines if "s3cr3t" in line or "\x1b[31m" in line or line.startswith("forged")]
    assert any("x\\r\\nforged" in line for line in lines)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("postgresql://volts:kX8%2F1@db:5432/x?y", "postgresql://volts:[redacted]@db:5432/x?y"),
        ("https://someone:pa/ss@hooks.example.org/", "https://someone:[redacted]@hooks.example.org/"),
        ("host=db password='a b' user=volts", "host=db password=[redacted] user=volts"),
        ("Authorization: Bearer 0123456789ab." + "x" * 43, "Authorization: Bearer [redacted]"),
        ("key 0123456789ab." + "x" * 43 + " was", "key 0123456789ab.[redacted] was"),
        ("Cookie: session=abc; other=d", "Cookie: [redacted]"),
        ("__Host-voltledger=abc; Path=/", "__Host-voltledger=[redacted]; Path=/"),
        ("http://127.0.0.1:8050/vehicles/van-7", "http://127.0.0.1:8050/vehicles/van-7"),
        ("the vehicle van-7 at 12:30: meter@depot", "the vehicle van-7 at 12:30: meter@depot"),
    ],
)
def test_s13_what_looks_like_a_secret_is_not_logged(text: str, left: str) -> None:
    assert logs.without_secrets(text) == left


def test_s13_what_is_named_like_a_secret_is_not_logged_however_deep() -> None:
    event: dict[str, Any] = {"event": "x", "smtp_password": 1, "facts": [{"Authorization": "y", "channel_id": 3}], "key_id": "0123456789ab"}
    assert logs.redacted(None, "", event) == {
        "event": "x", "smtp_password": "[redacted]", "facts": [{"Authorization": "[redacted]", "channel_id": 3}], "key_id": "0123456789ab",
    }  # fmt: skip


def test_an_event_that_happens_without_end_fills_no_disk() -> None:
    """Twenty lines a minute; the next one says how many there were meanwhile. Another error of the same event is another matter."""
    clock = [0.0]
    seldom, through = logs.Seldom(lambda: clock[0]), list[dict[str, Any]]()

    def happens(error: str) -> None:
        with suppress(structlog.DropEvent):
            through.append(dict(seldom(None, "", {"event": "commit_failed", "error": error})))

    for _ in range(1_000):
        happens("AdminShutdown")
    happens("DiskFull")
    assert len(through) == 21
    clock[0] = 61.0
    happens("AdminShutdown")
    assert through[-1] == {"event": "commit_failed", "error": "AdminShutdown", "withheld": 980}
    happens("AdminShutdown")
    assert "withheld" not in through[-1]


def test_refused_requests_are_counted_and_not_logged(database_url: str, capfd: pytest.CaptureFixture[str]) -> None:
    with api(database_url) as client:
        for body in ("{", "[]]", "nonsense"):
            assert client.post("/v1/telemetry/vehicle", data=body, content_type="application/json").status_code == 400
        client.get("/v1/nope")
    assert capfd.readouterr().out == ""


def test_every_answer_has_an_id_and_it_is_ours_unless_a_proxy_of_ours_gives_them(database_url: str) -> None:
    with api(database_url) as client:
        for path in ("/healthz", "/v1/nope", "/v1/vehicles"):
            said = client.get(path, headers={"X-Request-Id": "from-outside"}).headers["X-Request-Id"]
            assert re.fullmatch("[0-9a-f]{32}", said)
        intake = client.application.extensions[LANES]._intake
        intake._given_ids = True
        assert client.get("/v1/nope", headers={"X-Request-Id": "from-proxy"}).headers["X-Request-Id"] == "from-proxy"
        posted = client.post("/v1/telemetry/vehicle", json=van(), headers={"X-Request-Id": "from-proxy-2"})
        assert posted.headers["X-Request-Id"] == posted.get_json()["requestId"] == "from-proxy-2"
        assert intake.request_id(Presented("", "", "", "a\r\nb")) != "a\r\nb"


@pytest.mark.parametrize("given", ["", "short", "x" * 65, "a b c d e f", 'quote"quote', "line\nline", "ümläut-ümläut"])
def test_s13_what_is_no_name_is_not_taken_for_one(given: str) -> None:
    assert errors.request_id_of(given) != given


def test_s14_a_line_of_a_request_has_its_id_and_the_answer_tells_nothing_else(database_url: str) -> None:
    """An error nobody expected: what it was stands in the log alone, found by the id."""
    with api(database_url) as client, structlog.testing.capture_logs(processors=[structlog.contextvars.merge_contextvars]) as lines:

        def broken() -> str:
            raise RuntimeError("SELECT secret FROM /etc/passwd")

        client.application.view_functions["get_healthz"] = broken
        got = client.get("/healthz")
    (line,) = [one for one in lines if one["event"] == "unexpected"]
    assert got.status_code == 500
    assert got.headers["X-Request-Id"] == got.get_json()["requestId"] == line["request_id"]
    assert not re.search("SELECT|passwd|Traceback|RuntimeError", got.get_data(as_text=True))


def test_every_event_is_documented_with_its_level(project: Path) -> None:
    """The table in docs/logs.md names exactly what the code can say."""
    rows = re.findall(r"^\| `([^`]+)` \| ([a-z, ]+) \| .+ \|$", (project / "docs" / "logs.md").read_text(), re.MULTILINE)
    documented = {(event, level) for event, levels in rows for level in levels.split(", ")}
    assert documented == set(_said_by_the_code(project))


def _said_by_the_code(project: Path) -> list[tuple[str, str]]:
    levels = {"exception": "error"}
    found = []
    for room in ("alerting", "api", "dashboard", "db", "edge"):
        for path in (project / room).rglob("*.py"):
            for level, event in re.findall(r"\blog\.(info|warning|error|exception)\(\s*(?:#[^\n]*\n\s*)?\"([^\"]+)\"", path.read_text()):
                found.append((event, levels.get(level, level)))
    return found
