"""From the outbox to a real receiver: at least once, in order, each channel at its own pace, for a day. The clock is the test's."""

import itertools
import threading
import time
from datetime import timedelta
from http.server import BaseHTTPRequestHandler
from typing import Any

import psycopg
import pytest

import config
from alerting import delivery, digest
from alerting.delivery import Deliverer, deliver_once, pause
from alerting.sending import NotDelivered, outgoing
from alerting.webhook import Webhook
from db import outbox
from db.engine import Conn
from tests.notice_support import LOW, NOW, PRIVATE, Clock, channel, connecting, notice, postbox, receiver, standing

WAYS: dict[str, Any] = {"webhook": Webhook(PRIVATE)}


def _announced(conn: Conn, count: int = 1, begin: int = 0) -> None:
    for n in range(begin, begin + count):
        outbox.announce(conn, "firing", f"firing:{n}", {**LOW, "reason": f"n{n}"}, "warning", None, NOW)
    conn.commit()


def _episode(conn: Conn) -> int:
    row = conn.execute(
        """INSERT INTO alert_episode (rule, subject_kind, subject_id, severity, fired_at, reason, evidence)
           VALUES ('battery_hot', 'vehicle', 'van-7', 'warning', %s, 'hot', '{}') RETURNING episode_id""",
        (NOW,),
    ).fetchone()
    assert row
    return int(str(row[0]))


def test_a_notice_is_sent_once_and_marked(conn: Conn, database_url: str) -> None:
    with receiver() as there:
        channel(conn, there.url)
        _announced(conn)
        assert deliver_once(connecting(database_url), Clock(), WAYS) == 1
        assert deliver_once(connecting(database_url), Clock(NOW + timedelta(days=2)), WAYS) == 0
    (kept,) = standing(database_url)
    assert (kept.state, kept.sent_at, kept.tries, kept.last_error) == ("sent", NOW, 1, None)
    assert len(there.got) == 1


def test_what_is_not_committed_is_not_sent(conn: Conn, database_url: str) -> None:
    with receiver() as there:
        channel(conn, there.url)
        conn.commit()
        outbox.announce(conn, "firing", "firing:1", LOW, "warning", None, NOW)
        assert deliver_once(connecting(database_url), Clock(), WAYS) == 0
        conn.rollback()
        assert deliver_once(connecting(database_url), Clock(), WAYS) == 0
    assert there.got == []


def test_five_hundreds_and_then_200_is_one_delivery_with_one_key(conn: Conn, database_url: str) -> None:
    clock = Clock()
    with receiver(500, 503) as there:
        channel(conn, there.url)
        _announced(conn)
        for wait_s in (0, 14, 1, 29, 1):
            clock.forward(seconds=wait_s)
            deliver_once(connecting(database_url), clock, WAYS, chance=lambda: 0.5)
    (kept,) = standing(database_url)
    assert (kept.state, kept.tries, kept.last_error) == ("sent", 3, "it answered 503 Service Unavailable")
    assert [one.headers["Idempotency-Key"] for one in there.got] == [there.got[0].headers["Idempotency-Key"]] * 3
    assert kept.sent_at == NOW + timedelta(seconds=45)


def test_the_pauses_double_from_15_seconds_to_an_hour_and_differ_by_chance() -> None:
    middle = [pause(tries, 0.5).total_seconds() for tries in (1, 2, 3, 8, 9, 10, 1000)]
    assert middle == [15, 30, 60, 1920, 3600, 3600, 3600]
    assert pause(1, 0.0).total_seconds() == 12
    assert pause(1, 0.999).total_seconds() == pytest.approx(18, abs=0.1)
    assert pause(1000, 0.999).total_seconds() == 3600


def test_it_is_tried_for_24_hours_and_then_given_up_with_the_reason(conn: Conn, database_url: str) -> None:
    clock, tried = Clock(), []

    def broken(one: object, now: object) -> None:
        tried.append(clock.at)
        raise NotDelivered("it answered 500")

    channel(conn, "https://hooks.example.org/")
    _announced(conn)
    for _ in range(100):
        deliver_once(connecting(database_url), clock, {"webhook": broken})
        (kept,) = standing(database_url)
        if kept.state != "waiting":
            break
        clock.at = kept.next_try_at
    assert (kept.state, kept.gave_up_at, kept.last_error) == ("given_up", NOW + timedelta(hours=24), "it answered 500")
    assert 28 < len(tried) < 40
    assert max(after - before for before, after in itertools.pairwise(tried)) <= timedelta(hours=1)


def test_a_notice_that_nobody_could_send_for_days_is_still_tried_once(conn: Conn, database_url: str) -> None:
    """The server was off: at least once means at least once."""
    with receiver() as there:
        channel(conn, there.url)
        _announced(conn)
        assert deliver_once(connecting(database_url), Clock(NOW + timedelta(days=3)), WAYS) == 1


def test_what_somebody_is_at_is_left_to_him_until_his_time_is_up(conn: Conn, database_url: str) -> None:
    with receiver() as there:
        one = channel(conn, there.url)
        _announced(conn)
        with connecting(database_url)() as other:
            claimed = outbox.claim(other, one, NOW, delivery.LEASE)
        assert claimed is not None
        assert deliver_once(connecting(database_url), Clock(NOW + delivery.LEASE - timedelta(seconds=1)), WAYS) == 0
        assert deliver_once(connecting(database_url), Clock(NOW + delivery.LEASE), WAYS) == 1
    assert there.got[0].headers["Idempotency-Key"] == claimed.key


def test_two_who_claim_at_once_get_different_notices(conn: Conn, database_url: str) -> None:
    one = channel(conn, "https://hooks.example.org/")
    _announced(conn, 2)
    with psycopg.connect(database_url) as a, psycopg.connect(database_url) as b:
        first, second = outbox.claim(a, one, NOW, delivery.LEASE), outbox.claim(b, one, NOW, delivery.LEASE)
        assert first is not None
        assert second is not None
        assert first.notice_id != second.notice_id
        assert outbox.claim(b, one, NOW, delivery.LEASE) is None


def test_the_steps_of_an_alert_arrive_in_their_order_while_others_go_on(conn: Conn, database_url: str) -> None:
    """A resolution that overtakes its alert would leave it standing for ever."""
    clock = Clock()
    with receiver(500) as there:
        channel(conn, there.url)
        episode_id = _episode(conn)
        for kind in ("firing", "escalated", "resolved"):
            outbox.announce(conn, kind, f"{kind}:{episode_id}", {**LOW, "kind": kind}, "critical", episode_id, NOW)
        _announced(conn)
        deliver_once(connecting(database_url), clock, WAYS)
        deliver_once(connecting(database_url), clock, WAYS)
        assert [one.headers["Idempotency-Key"].split(":")[0] for one in there.got] == ["firing", "firing"]
        assert there.got[1].headers["Idempotency-Key"].startswith("firing:0")
        clock.forward(seconds=20)
        deliver_once(connecting(database_url), clock, WAYS)
        kinds = [one.headers["Idempotency-Key"].split(":")[0] for one in there.got]
    assert kinds == ["firing", "firing", "firing", "escalated", "resolved"]


def test_what_waits_for_a_channel_that_is_off_or_deleted_is_given_up(conn: Conn, database_url: str) -> None:
    with receiver() as there:
        channel(conn, there.url, "off")
        _announced(conn)
        conn.execute("UPDATE notice_channel SET enabled = false")
        conn.commit()
        deliver_once(connecting(database_url), Clock(), WAYS)
    assert there.got == []
    assert [(one.state, one.last_error) for one in standing(database_url)] == [("given_up", "the channel was switched off")]


def test_a_channel_hears_only_what_it_wants(conn: Conn, database_url: str) -> None:
    with receiver() as there:
        channel(conn, there.url, "all")
        channel(conn, there.url, "critical only", least_severity="critical")
        channel(conn, there.url, "off", enabled=False)
        _announced(conn)
        outbox.announce(conn, "firing", "firing:c", LOW, "critical", None, NOW)
        outbox.announce(conn, "firing", "firing:c", LOW, "critical", None, NOW)
        conn.commit()
        deliver_once(connecting(database_url), Clock(), WAYS)
    assert len(there.got) == 3


def test_a_test_is_tried_once_because_somebody_waits_for_its_outcome(conn: Conn, database_url: str) -> None:
    with receiver(500) as there:
        one = channel(conn, there.url)
        outbox.put(conn, one, "test", "test:1", {"kind": "test"}, NOW)
        conn.commit()
        deliver_once(connecting(database_url), Clock(), WAYS)
    assert [(each.state, each.last_error) for each in standing(database_url)] == [("given_up", "it answered 500 Internal Server Error")]


def test_a_sender_that_fails_unexpectedly_spoils_nothing_and_tells_nothing(conn: Conn, database_url: str, caplog: Any, capsys: Any) -> None:
    def bad(one: outbox.Claimed, now: object) -> None:
        raise RuntimeError(f"at {one.address} with {one.secret}")

    channel(conn, "https://hooks.example.org/s3cr3t", secret="s3cr3t-s3cr3t-s3cr3t")
    _announced(conn)
    deliver_once(connecting(database_url), Clock(), {"webhook": bad})
    (kept,) = standing(database_url)
    assert (kept.state, kept.last_error) == ("waiting", "it could not be sent (RuntimeError)")
    printed = capsys.readouterr()
    assert "notice" in caplog.text + printed.out
    assert "s3cr3t" not in caplog.text + printed.out + printed.err


def test_a_secret_is_not_in_what_is_printed_of_a_notice() -> None:
    """A stray log line or an error page of a claimed notice."""
    said = repr(notice(address="https://hooks.example.org/s3cr3t", secret="s3cr3t-s3cr3t-s3cr3t"))
    assert "s3cr3t" not in said


def test_one_slow_channel_does_not_hold_up_the_others(conn: Conn, database_url: str) -> None:
    """Twenty notices arrive by one channel while another has not answered its first."""
    go_on = threading.Event()

    def held(_: BaseHTTPRequestHandler) -> None:
        go_on.wait(60)

    with receiver(held) as slow, receiver() as quick:
        channel(conn, slow.url, "slow")
        channel(conn, quick.url, "quick")
        _announced(conn, 20)
        deliverer = Deliverer(connecting(database_url), Clock(), PRIVATE, WAYS)
        deliverer.look()
        quick.wait_for(20, 30)
        slow.wait_for(1)
        assert len(slow.got) == 1
        go_on.set()
        deliverer._pool.shutdown()


def test_a_channel_that_failed_rests_instead_of_running_against_the_wall(conn: Conn, database_url: str) -> None:
    clock = Clock()
    with receiver(*[500] * 10) as there:
        channel(conn, there.url)
        _announced(conn, 10)
        deliverer = Deliverer(connecting(database_url), clock, PRIVATE, WAYS)
        for _ in range(3):
            deliverer.look()
            _idle(deliverer)
        assert len(there.got) == 1
        clock.forward(seconds=16)
        deliverer.look()
        _idle(deliverer)
        assert len(there.got) == 2
        deliverer._pool.shutdown()


def _idle(deliverer: Deliverer) -> None:
    deadline = time.monotonic() + 30
    while deliverer._busy:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def _slowly(handler: BaseHTTPRequestHandler) -> None:
    time.sleep(0.5)
    handler.send_response(200)
    handler.end_headers()


def test_c8_asked_to_stop_it_finishes_what_is_under_way(conn: Conn, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "LOOK_EVERY_S", 0.02)
    with receiver(_slowly) as there:
        channel(conn, there.url)
        _announced(conn)
        deliverer = Deliverer(connecting(database_url), Clock(), PRIVATE, WAYS).start()
        there.wait_for(1)
        deliverer.close()
    assert [one.state for one in standing(database_url)] == ["sent"]


def test_it_goes_on_when_the_database_is_back(conn: Conn, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "LOOK_EVERY_S", 0.02)
    away = [True]

    def connect() -> Any:
        if away[0]:
            raise psycopg.OperationalError("away")
        return psycopg.connect(database_url)

    with receiver() as there:
        channel(conn, there.url)
        _announced(conn)
        deliverer = Deliverer(connect, Clock(), PRIVATE, WAYS).start()
        time.sleep(0.1)
        away[0] = False
        there.wait_for(1)
        deliverer.close()


def test_a_database_that_is_away_between_send_and_mark_makes_no_duplicate(conn: Conn, database_url: str) -> None:
    away: list[int] = []

    def connect() -> Any:
        if away:
            away.pop()
            raise psycopg.OperationalError("away")
        return psycopg.connect(database_url)

    def send(one: outbox.Claimed, now: object) -> None:
        WAYS["webhook"](one, NOW)
        away.append(1)

    with receiver() as there:
        channel(conn, there.url)
        _announced(conn)
        assert deliver_once(connect, Clock(), {"webhook": send}) == 1
        assert len(there.got) == 1
    assert [one.state for one in standing(database_url)] == ["sent"]


def test_a_digest_that_cannot_be_written_holds_up_no_notice(conn: Conn, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> int:
        raise ValueError("no digest")

    monkeypatch.setattr(digest, "write_due", broken)
    with receiver() as there:
        channel(conn, there.url)
        _announced(conn)
        deliverer = Deliverer(connecting(database_url), Clock(), PRIVATE, WAYS)
        deliverer.look()
        there.wait_for(1)
        deliverer.close()


def test_a_long_queue_does_not_keep_it_from_stopping(conn: Conn, database_url: str) -> None:
    """What is left stays in the outbox."""
    with receiver(*[_slowly] * 20) as there:
        channel(conn, there.url)
        _announced(conn, 20)
        deliverer = Deliverer(connecting(database_url), Clock(), PRIVATE, WAYS)
        deliverer._thread.start()
        deliverer.look()
        there.wait_for(2)
        began = time.monotonic()
        deliverer.close()
        assert time.monotonic() - began < 8  # of the ten seconds that all would take
    states = [one.state for one in standing(database_url)]
    assert len(there.got) == states.count("sent") < 10


def test_each_kind_of_channel_has_its_way_out(conn: Conn, database_url: str) -> None:
    """As the product makes them from its settings: signed JSON, a letter, and a service of Apprise."""
    with receiver() as there, postbox() as (box, port):
        settings = config.Settings(_env_file=None, notices_to_private=True, smtp_host="127.0.0.1", smtp_port=port, smtp_tls="none")
        channel(conn, there.url, "hook")
        channel(conn, "ada@example.org", kind="email")
        channel(conn, there.url.replace("http://", "json://"), kind="apprise")
        _announced(conn)
        assert deliver_once(connecting(database_url), Clock(), delivery.senders(outgoing(settings))) == 3
    assert len(there.got) == 2
    assert [one.sender for one in box.letters] == ["voltledger@127.0.0.1"]
    assert {one.state for one in standing(database_url)} == {"sent"}


def test_the_settings_name_the_sender_and_hide_the_password() -> None:
    known: dict[str, Any] = {"smtp_host": "mail.example.org", "smtp_user": "volts@example.org", "smtp_password": "s3cr3t"}
    server = outgoing(config.Settings(_env_file=None, **known)).mail
    assert server is not None
    assert (server.sender, server.password, server.port, server.tls) == ("volts@example.org", "s3cr3t", 587, "starttls")
    assert "s3cr3t" not in f"{server!r}{config.Settings(_env_file=None, **known)!r}"
    assert outgoing(config.Settings(_env_file=None)).mail is None
