"""Apprise, against a real HTTP server on loopback: what arrives, and that the library goes nowhere it may not."""

import json
import logging
import subprocess
import time
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from alerting import guard, others
from alerting.others import Others
from alerting.sending import NotDelivered, Outgoing
from tests.notice_support import LOW, NOW, PRIVATE, notice, receiver


def _apprise(url: str, scheme: str = "json") -> str:
    return url.replace("http://", f"{scheme}://user:s3cr3t-password@") + "/s3cr3t-topic"


def _push(address: str, **changes: Any) -> Any:
    return notice(channel_kind="apprise", address=address, **changes)


def test_the_words_arrive_with_the_link_and_without_markup() -> None:
    body = {**LOW, "subject": {"kind": "vehicle", "id": "van-7", "name": "<!channel> @everyone [x](http://y)"}}
    with receiver() as there:
        Others(PRIVATE)(_push(_apprise(there.url), body=body), NOW)
    said = json.loads(there.got[0].body)
    assert said["title"] == "(critical) Low efficiency: ‹!channel› @\u200beveryone (x)(http://y) (van-7)"
    assert "10.52 kWh drawn (AC)" in said["message"]
    assert said["message"].endswith("https://volts.example.org/alerts/1")


def test_a_refusal_says_why_without_the_address(caplog: pytest.LogCaptureFixture) -> None:
    with receiver(500) as there, caplog.at_level(logging.DEBUG), pytest.raises(NotDelivered) as failure:
        Others(PRIVATE)(_push(_apprise(there.url)), NOW)
    assert "500" in str(failure.value)
    assert "s3cr3t" not in f"{failure.value}{caplog.text}"


def test_s11_a_private_host_is_refused() -> None:
    with receiver() as there, pytest.raises(NotDelivered, match="private address"):
        Others(Outgoing())(_push(_apprise(there.url)), NOW)
    assert there.got == []


def test_s11_what_the_library_connects_to_is_watched_whatever_was_checked_before() -> None:
    """A name that was public a moment ago, a redirect, a service with a host of its own making: the connection itself is refused."""
    with receiver() as there, pytest.raises(NotDelivered, match="leads to a private address"):
        Others(Outgoing(), lambda host, port: ["1.1.1.1"])(_push(_apprise(there.url)), NOW)
    assert there.got == []


def test_s11_a_redirect_of_a_public_service_to_a_private_address_leads_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """127.0.0.1 plays the public service, 127.0.0.2 what only the server can reach: the library follows, the interpreter refuses."""
    monkeypatch.setattr(guard, "is_public", lambda address: address == "127.0.0.1")
    with receiver() as inside:

        def leads_inside(handler: BaseHTTPRequestHandler) -> None:
            handler.send_response(307)
            handler.send_header("Location", inside.url.replace("127.0.0.1", "127.0.0.2"))
            handler.send_header("Content-Length", "0")
            handler.end_headers()

        with receiver(leads_inside) as there:
            with pytest.raises(NotDelivered, match="leads to a private address"):
                Others(Outgoing())(_push(_apprise(there.url)), NOW)
            assert len(there.got) == 1
    assert inside.got == []


def test_the_watch_ends_with_the_sending_and_holds_nowhere_else() -> None:
    watch = Others(Outgoing())._watch
    with watch.over(on=True) as refused, pytest.raises(PermissionError):
        subprocess.run(["true"], check=True)
    assert refused == ["subprocess.Popen"]
    subprocess.run(["true"], check=True)
    with watch.over(on=False):
        subprocess.run(["true"], check=True)


@pytest.mark.parametrize("address", ["file:///tmp/x", "syslog://", "dbus://", "exec://x", "", "slack://"])
def test_what_is_no_service_of_others_is_refused(address: str) -> None:
    with pytest.raises(NotDelivered):
        Others(PRIVATE)(_push(address), NOW)


def test_no_address_makes_it_wait_longer_than_the_others_can(monkeypatch: pytest.MonkeyPatch) -> None:
    """Apprise takes the patience from the address."""
    monkeypatch.setattr(others, "TIMEOUT_S", 0.3)
    with receiver(lambda handler: time.sleep(60)) as there:
        began = time.monotonic()
        with pytest.raises(NotDelivered):
            Others(PRIVATE)(_push(f"{_apprise(there.url)}?rto=3600&cto=3600&retry=9"), NOW)
        assert time.monotonic() - began < 30
