"""S16: open or closed, never by accident."""

from typing import Any

import pytest

import config
from dashboard.__main__ import CannotStart, refuse_what_is_unsafe, run
from edge.openness import Openness, refusal

STRONG = "postgresql://volts:kX81mzPq02vTTe@db:5432/volts"
ELSEWHERE = ["0.0.0.0", "::", "", "10.1.2.3", "192.168.178.20", "fe80::1", "depot.example.org", "0"]
THIS_MACHINE = ["127.0.0.1", "127.8.8.8", "::1", "localhost"]


@pytest.mark.parametrize("host", THIS_MACHINE)
def test_s16_on_this_machine_it_starts_without_any_log_in(host: str) -> None:
    assert refusal(Openness(host), "postgresql://postgres:postgres@127.0.0.1/x", debug=False) is None


@pytest.mark.parametrize("host", ELSEWHERE)
def test_s16_where_others_can_reach_it_one_line_says_what_to_do(host: str) -> None:
    line = refusal(Openness(host), None, debug=False)
    assert line
    assert "\n" not in line
    said = (f"VOLTLEDGER_HOST={host}", "VOLTLEDGER_REQUIRE_LOGIN=1", "VOLTLEDGER_REQUIRE_KEYS=1", "INSECURE_OPEN=1")
    assert all(word in line for word in said)
    assert refusal(Openness(host, require_keys=True), None, debug=False) == line, "devices alone are not everybody"
    assert refusal(Openness(host, require_keys=True, require_login=True, by_tls=True), None, debug=False) is None
    assert refusal(Openness(host, insecure_open=True), None, debug=False) is None


def test_s16_in_a_container_the_published_address_decides() -> None:
    assert refusal(Openness("0.0.0.0", "127.0.0.1"), None, debug=False) is None
    line = refusal(Openness("0.0.0.0", "0.0.0.0"), None, debug=False)
    assert line
    assert "VOLTLEDGER_PUBLISHED_ON=0.0.0.0" in line


WEAK = ["postgres", "changeme", "CHANGEME", "voltledger", "passw0rd", "short", "fleet-db-user"]


@pytest.mark.parametrize("password", WEAK)
def test_s16_an_easily_guessed_database_password_is_refused_and_not_repeated(password: str) -> None:
    url = f"postgresql://fleet-db-user:{password}@db.internal:5432/fleet"
    line = refusal(Openness("0.0.0.0", insecure_open=True), url, debug=False)
    assert line
    assert "DATABASE_URL" in line
    assert password not in line
    assert refusal(Openness("127.0.0.1"), url, debug=False) is None


@pytest.mark.parametrize("url", [STRONG, None, "postgresql:///fleet", "postgresql://someone@db/fleet", "nonsense"])
def test_s16_a_good_password_or_none_at_all_is_no_reason(url: str | None) -> None:
    assert refusal(Openness("0.0.0.0", require_keys=True, require_login=True, by_tls=True), url, debug=False) is None


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_s16_people_who_log_in_while_the_api_is_open_are_refused(host: str) -> None:
    line = refusal(Openness(host, require_login=True, by_tls=True, insecure_open=True), None, debug=False)
    assert line
    assert "VOLTLEDGER_REQUIRE_KEYS=1" in line


def test_s16_passwords_do_not_travel_unencrypted() -> None:
    line = refusal(Openness("0.0.0.0", require_keys=True, require_login=True), None, debug=False)
    assert line
    assert "VOLTLEDGER_PROXIES" in line
    assert refusal(Openness("127.0.0.1", require_keys=True, require_login=True), None, debug=False) is None
    assert refusal(Openness("0.0.0.0", require_keys=True, require_login=True, insecure_open=True), None, debug=False) is None


def test_s16_debug_is_refused_everywhere() -> None:
    assert "FLASK_DEBUG" in (refusal(Openness("127.0.0.1"), None, debug=True) or "")


@pytest.mark.parametrize("name", ["FLASK_DEBUG", "DASH_DEBUG"])
@pytest.mark.parametrize(("value", "asked"), [("1", True), ("true", True), ("0", False), ("", False), ("False", False)])
def test_s16_debug_is_read_as_flask_and_dash_read_it(monkeypatch: pytest.MonkeyPatch, name: str, value: str, asked: bool) -> None:
    monkeypatch.setenv(name, value)
    assert config.debug_asked() is asked


@pytest.mark.parametrize("chosen", [{"host": "0.0.0.0"}, {"map_tiles_url": "javascript:alert(1)"}])
def test_s16_the_command_refuses_before_it_listens(chosen: dict[str, Any]) -> None:
    with pytest.raises(CannotStart):
        refuse_what_is_unsafe(config.Settings(_env_file=None, **chosen))


def test_s16_the_exit_code_is_2_and_there_is_one_line(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("VOLTLEDGER_HOST", "0.0.0.0")
    monkeypatch.setattr("dashboard.__main__.signal.signal", lambda *_: None)
    monkeypatch.setattr("dashboard.__main__.listen", lambda *_: pytest.fail("it listens"))
    assert run(None) == 2
    said = capfd.readouterr().err
    assert said.startswith("VOLTLEDGER_HOST=0.0.0.0")
    assert said.count("\n") == 1
