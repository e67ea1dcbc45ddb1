"""E-mail against a real SMTP server on loopback."""

import email
import email.policy
import ssl
from email.message import EmailMessage
from typing import Any

import pytest
from aiosmtpd.smtp import AuthResult

from alerting.mail import Mail
from alerting.sending import MailServer, NotDelivered, Outgoing
from tests.notice_support import LOW, NOW, notice, postbox
from tests.test_notice_words import HOSTILE


def _mail(port: int, **changes: Any) -> Mail:
    server = MailServer(**{"host": "127.0.0.1", "port": port, "sender": "volts@example.org", "tls": "none", **changes})
    return Mail(Outgoing("https://volts.example.org", mail=server))


def _letter(**changes: Any) -> Any:
    return notice(channel_kind="email", address="ada@example.org", **changes)


def _read(raw: bytes) -> EmailMessage:
    made = email.message_from_bytes(raw, policy=email.policy.default)
    assert isinstance(made, EmailMessage)
    return made


def test_a_letter_says_it_in_text_and_html_and_collapses_with_its_duplicate() -> None:
    with postbox() as (box, port):
        for _ in range(2):
            _mail(port)(_letter(), NOW)
        _mail(port)(_letter(key="resolved:7:3", body={**LOW, "kind": "resolved"}), NOW)
    first, again, over = (_read(one.raw) for one in box.letters)
    assert (box.letters[0].sender, box.letters[0].recipients) == ("volts@example.org", ["ada@example.org"])
    assert first["Subject"] == "[critical] Low efficiency: Van 7 (van-7)"
    assert (first["From"], first["To"]) == ("Voltledger <volts@example.org>", "ada@example.org")
    assert first["Auto-Submitted"] == "auto-generated"
    plain, rich = (first.get_body((kind,)) for kind in ("plain", "html"))
    assert plain is not None
    assert rich is not None
    assert "10.52 kWh drawn (AC)" in plain.get_content()
    assert "https://volts.example.org/alerts/1" in plain.get_content()
    assert '<a href="https://volts.example.org/alerts/1">' in rich.get_content()
    assert first["Message-ID"] == again["Message-ID"] != over["Message-ID"]
    assert first["References"] == over["References"]


@pytest.mark.parametrize("name", HOSTILE)
def test_v11_no_name_adds_a_header_or_a_recipient(name: str) -> None:
    body = {**LOW, "subject": {"kind": "vehicle", "id": "van-7", "name": name}, "reason": name, "because": name}
    with postbox() as (box, port):
        _mail(port)(_letter(body=body), NOW)
    read = _read(box.letters[0].raw)
    expected = {"From", "To", "Subject", "Date", "Message-ID", "References", "Auto-Submitted", "MIME-Version", "Content-Type"}
    assert {*read.keys()} - {"X-Peer", "X-MailFrom", "X-RcptTo"} == expected
    assert box.letters[0].recipients == ["ada@example.org"]
    rich = read.get_body(("html",))
    assert rich is not None
    assert not any(tag in rich.get_content() for tag in ("<script", "<img", "<svg", "<b>"))


@pytest.mark.parametrize("address", ["ada@example.org\r\nBcc: eve@example.org", "ada@example.org, eve@example.org", "ada", ""])
def test_an_address_that_is_none_goes_nowhere(address: str) -> None:
    with postbox() as (box, port), pytest.raises(NotDelivered, match="not an e-mail address"):
        _mail(port)(notice(channel_kind="email", address=address), NOW)
    assert box.letters == []


def test_what_the_server_says_is_the_reason_without_address_and_password() -> None:
    with postbox() as (box, port):
        box.refuse = ["451 4.7.1 later please, ada@example.org s3cr3t-password"]
        with pytest.raises(NotDelivered) as failure:
            _mail(port, password="s3cr3t-password")(_letter(), NOW)
    assert str(failure.value) == "the mail server said 451 4.7.1 later please, ••• •••"


def test_no_server_and_nobody_there_are_said_plainly() -> None:
    with pytest.raises(NotDelivered, match="no mail server is set"):
        Mail(Outgoing())(_letter(), NOW)
    with pytest.raises(NotDelivered, match="cannot be reached: Connection refused"):
        _mail(1)(_letter(), NOW)


def test_starttls_that_is_not_offered_is_never_gone_without() -> None:
    """Downgrading would send the password and the letter in the open."""
    with postbox() as (box, port), pytest.raises(NotDelivered, match="does not offer"):
        _mail(port, tls="starttls", user="volts", password="pw")(_letter(), NOW)
    assert box.letters == []


@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")
def test_it_logs_in_and_says_where_that_fails() -> None:
    def check(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        return AuthResult(success=(data.login, data.password) == (b"volts", b"right-password"), handled=False)

    options = {"authenticator": check, "auth_required": True, "auth_require_tls": False}
    with postbox(**options) as (box, port):
        _mail(port, user="volts", password="right-password")(_letter(), NOW)
        with pytest.raises(NotDelivered, match="the mail server said 535") as failure:
            _mail(port, user="volts", password="wrong-password")(_letter(), NOW)
    assert len(box.letters) == 1
    assert "wrong-password" not in str(failure.value)


def test_the_servers_certificate_is_checked() -> None:
    """By the system's authorities, whatever way TLS begins."""
    assert Mail(Outgoing())._tls.verify_mode is ssl.CERT_REQUIRED
    assert Mail(Outgoing())._tls.check_hostname
