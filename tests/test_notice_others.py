"""Apprise, against a real HTTP server on loopback: what arrives, and that the library goes nowhere it may not."""

import json
import logging
import subprocess
from typing import Any

import pytest

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
