"""Webhooks against a real HTTP server on loopback: what arrives, what counts as delivered, and what is refused."""

import hashlib
import hmac
import json
import ssl
import subprocess
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from alerting.sending import NotDelivered, Outgoing
from alerting.webhook import Webhook
from tests.notice_support import LOW, NOW, PRIVATE, SECRET, notice, receiver


def test_the_notice_arrives_whole_with_key_link_and_words() -> None:
    with receiver() as there:
        Webhook(PRIVATE)(notice(address=f"{there.url}?room=7"), NOW)
    (got,) = there.got
    assert got.path == "/hook?room=7"
    assert (got.headers["Idempotency-Key"], got.headers["Content-Type"]) == ("firing:7:3", "application/json")
    said = json.loads(got.body)
    assert {name: said[name] for name in LOW} == LOW
    assert (said["id"], said["idempotencyKey"], said["createdAt"]) == (41, "firing:7:3", "2026-02-04T12:00:00Z")
    assert said["link"] == "https://volts.example.org/alerts/1"
    assert said["title"] == "[critical] Low efficiency: Van 7 (van-7)"


def _verified(headers: dict[str, str], body: bytes, secret: str, now: float, tolerance_s: float = 300) -> bool:
    """As docs/notices.md tells receivers to do it; nothing of the product's own."""
    parts = dict(part.split("=", 1) for part in headers["Voltledger-Signature"].split(","))
    expected = hmac.new(secret.encode(), parts["t"].encode() + b"." + body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected, parts["v1"]) and abs(now - int(parts["t"])) <= tolerance_s


def test_the_signature_is_verified_by_other_code_and_by_openssl() -> None:
    with receiver() as there:
        Webhook(PRIVATE)(notice(address=there.url), NOW)
    (got,) = there.got
    assert _verified(got.headers, got.body, SECRET, NOW.timestamp())
    assert not _verified(got.headers, got.body + b" ", SECRET, NOW.timestamp())
    assert not _verified(got.headers, got.body, SECRET + "x", NOW.timestamp())
    assert not _verified(got.headers, got.body, SECRET, NOW.timestamp() + 301)
    stamp, v1 = (part.split("=")[1] for part in got.headers["Voltledger-Signature"].split(","))
    said = subprocess.run(
        ["openssl", "dgst", "-sha256", "-hmac", SECRET], input=f"{stamp}.".encode() + got.body, capture_output=True, check=True
    )
    assert said.stdout.decode().split()[-1] == v1


def test_without_a_secret_nothing_is_signed() -> None:
    with receiver() as there:
        Webhook(PRIVATE)(notice(address=there.url, secret=None), NOW)
    assert "Voltledger-Signature" not in there.got[0].headers


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_every_2xx_is_delivered(status: int) -> None:
    with receiver(status) as there:
        Webhook(PRIVATE)(notice(address=there.url), NOW)


@pytest.mark.parametrize("status", [400, 401, 404, 410, 429, 500, 503])
def test_everything_else_is_not_and_the_reason_says_the_status(status: int) -> None:
    with receiver(status) as there, pytest.raises(NotDelivered, match=f"it answered {status}"):
        Webhook(PRIVATE)(notice(address=there.url), NOW)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_s11_redirects_are_not_followed(status: int) -> None:
    with receiver(status) as there, pytest.raises(NotDelivered, match="redirect"):
        Webhook(PRIVATE)(notice(address=there.url), NOW)
    assert len(there.got) == 1


def test_s11_a_private_address_is_refused_before_anything_is_sent() -> None:
    with receiver() as there, pytest.raises(NotDelivered, match="private address"):
        Webhook(Outgoing())(notice(address=there.url), NOW)
    assert there.got == []


def test_s11_a_name_that_changes_its_address_is_resolved_once_and_held_to_it() -> None:
    """DNS rebinding: public when it is checked, loopback when it is asked again. It is never asked again, nor by anybody else."""
    asked: list[str] = []

    def rebinding(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["203.0.113.1" if len(asked) > 1 else "127.0.0.1"]

    with receiver() as there:
        port = int(there.url.split(":")[2].split("/")[0])
        Webhook(PRIVATE, rebinding)(notice(address=f"http://hooks.example.invalid:{port}/x"), NOW)
        assert there.got[0].headers["Host"] == f"hooks.example.invalid:{port}"
    assert asked == ["hooks.example.invalid"]
    asked.clear()
    with receiver() as there, pytest.raises(NotDelivered, match="private address"):
        Webhook(Outgoing(), rebinding)(notice(address=there.url.replace("127.0.0.1", "hooks.example.invalid")), NOW)
    assert there.got == []


def test_the_next_address_of_a_name_is_tried_where_the_first_is_dead() -> None:
    with receiver() as there:
        Webhook(PRIVATE, lambda host, port: ["127.0.0.2", "127.0.0.1"])(notice(address=there.url.replace("127.0.0.1", "two.example")), NOW)
    assert len(there.got) == 1


def _silent(handler: BaseHTTPRequestHandler) -> None:
    time.sleep(60)


def _drips(handler: BaseHTTPRequestHandler) -> None:
    """A byte now and then: no single wait is long, the whole is."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
    for _ in range(1200):
        try:
            handler.wfile.write(b"X-More: 1\r\n")
            handler.wfile.flush()
        except OSError:
            return
        time.sleep(0.05)


def _endless(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
    for _ in range(2000):
        try:
            handler.wfile.write(b"x" * 65536)
        except OSError:
            return


@pytest.mark.parametrize("answer", [_silent, _drips])
def test_who_does_not_answer_in_time_has_not_received(answer: Callable[[BaseHTTPRequestHandler], None]) -> None:
    began = time.monotonic()
    with receiver(answer) as there, pytest.raises(NotDelivered, match="no answer within"):
        Webhook(PRIVATE, timeout_s=0.4)(notice(address=there.url), NOW)
    assert time.monotonic() - began < 30  # of the minute that it would take


def test_an_endless_answer_is_read_for_64_kb_only() -> None:
    with receiver(_endless) as there:
        Webhook(PRIVATE)(notice(address=there.url), NOW)


def _garbage(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"\x00\xff" * 100 + b"\r\n\r\n")


def _cut(handler: BaseHTTPRequestHandler) -> None:
    handler.connection.close()


@pytest.mark.parametrize("answer", [_garbage, _cut])
def test_what_is_not_http_is_a_failure_without_the_address_in_it(answer: Callable[[BaseHTTPRequestHandler], None]) -> None:
    with receiver(answer) as there, pytest.raises(NotDelivered) as failure:
        Webhook(PRIVATE)(notice(address=f"{there.url}/s3cr3t"), NOW)
    assert "s3cr3t" not in str(failure.value)


def test_nobody_there_is_said_plainly() -> None:
    with receiver() as there:
        pass
    with pytest.raises(NotDelivered, match="cannot be reached: Connection refused"):
        Webhook(PRIVATE)(notice(address=there.url), NOW)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Key and certificate of hooks.example.invalid in one file, signed by itself."""
    made = tmp_path_factory.mktemp("tls") / "both.pem"
    common = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=hooks.example.invalid"]
    subprocess.run(
        ["openssl", "req", "-x509", *common, "-addext", "subjectAltName=DNS:hooks.example.invalid", "-keyout", made, "-out", f"{made}.crt"],
        check=True,
        capture_output=True,
    )
    made.write_bytes(made.read_bytes() + Path(f"{made}.crt").read_bytes())
    return made


@pytest.mark.parametrize(("name", "fine"), [("hooks.example.invalid", True), ("other.example.invalid", False)])
def test_over_tls_the_certificate_must_be_that_of_the_name(certificate: Path, name: str, fine: bool) -> None:
    """Although it is the checked IP address that is connected to."""
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(certificate)
    asked: list[str | None] = []
    serving.sni_callback = lambda sock, server_name, context: asked.append(server_name)
    trusting = ssl.create_default_context(cafile=str(certificate))
    with receiver(tls=serving) as there:
        send = Webhook(PRIVATE, lambda host, port: ["127.0.0.1"], trusting)
        address = there.url.replace("http://127.0.0.1", f"https://{name}")
        if fine:
            send(notice(address=address), NOW)
            assert there.got[0].headers["Host"].startswith(name)
        else:
            with pytest.raises(NotDelivered, match="certificate is not trusted"):
                send(notice(address=address), NOW)
            assert there.got == []
    assert asked == [name]


def test_many_at_once_do_not_mix() -> None:
    """Each thread has a connection of its own."""
    send = Webhook(PRIVATE)
    with receiver() as there:
        threads = [threading.Thread(target=send, args=(notice(address=there.url, key=f"k:{n}"), NOW)) for n in range(16)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
    assert {(one.headers["Idempotency-Key"], json.loads(one.body)["idempotencyKey"]) for one in there.got} == {
        (f"k:{n}", f"k:{n}") for n in range(16)
    }
