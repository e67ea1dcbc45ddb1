"""S4, S5, S6, S14, S15: passwords, brute force, log-ins that end at once, and the record of all of it."""

import re
import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from argon2 import extract_parameters

from api.errors import Problem
from api.people import passwords, presence
from api.people.passwords import Passwords, one_time, weakness
from api.people.tries import WITHIN_S, WRONG_FROM_ADDRESS, WRONG_PASSWORDS, Tries
from db import people
from db.engine import connect
from edge.log_in import safe_next
from tests.people_support import CHEAP, NAVIGATE, PASSWORD, Peopled, Somebody, log_in, peopled
from tests.support import fresh_database


@pytest.fixture(scope="module")
def world(postgres_url: str, template_database: str) -> Iterator[Peopled]:
    with fresh_database(postgres_url, template_database, "people") as url, peopled(url) as made:
        yield made


def rows(world: Peopled, statement: str, *given: Any) -> list[tuple[Any, ...]]:
    with psycopg.connect(world.url) as conn:
        return conn.execute(statement.encode(), given).fetchall()


def person_id(world: Peopled, email: str) -> int:
    return int(rows(world, "SELECT person_id FROM person WHERE email = %s", email)[0][0])


# ------------------------------------------------------------------------------------------------------------ S4


def test_s4_passwords_are_hashed_by_argon2id_at_what_owasp_asks_for() -> None:
    kept = Passwords().hash(PASSWORD)
    found = extract_parameters(kept)
    assert kept.startswith("$argon2id$")
    assert (found.memory_cost >= 19 * 1024, found.time_cost >= 2, found.parallelism) == (True, True, 1)
    assert Passwords().verify(kept, PASSWORD)
    assert not Passwords().verify(kept, PASSWORD + " ")
    assert not Passwords().is_old(kept)


def test_s4_the_database_keeps_nothing_that_opens_anything(world: Peopled) -> None:
    somebody = world.logged_in("viewer")
    cookie = somebody.client.get_cookie("voltledger")
    assert cookie is not None
    with psycopg.connect(world.url) as conn:
        told = str(conn.execute("SELECT * FROM person").fetchall()) + str(conn.execute("SELECT * FROM log_in").fetchall())
    assert PASSWORD not in told
    assert cookie.value not in told


class Counting(Passwords):
    """Counts how many are at it at once, and what each is held against."""

    def __init__(self) -> None:
        super().__init__(64, 1)
        self.now = self.most = 0
        self.asked: list[str] = []
        self.lock, self.go = threading.Lock(), threading.Event()
        real = self._hasher

        class Slow:
            @staticmethod
            def verify(kept: str, password: str) -> bool:
                with self.lock:
                    self.now += 1
                    self.most = max(self.most, self.now)
                    self.asked.append(kept)
                self.go.wait(20)
                with self.lock:
                    self.now -= 1
                return bool(real.verify(kept, password))

        self._hasher: Any = Slow()


def test_s4_at_most_two_passwords_are_verified_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    kept, counting = CHEAP.hash(PASSWORD), Counting()
    right: list[bool] = []
    threads = [threading.Thread(target=lambda: right.append(counting.verify(kept, PASSWORD))) for _ in range(6)]
    for one in threads:
        one.start()
    counting.go.set()
    for one in threads:
        one.join(20)
    assert right == [True] * 6
    assert counting.most <= passwords.AT_ONCE


def test_s4_who_waits_too_long_is_told_when_to_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "WAIT_S", 0.01)
    counting = Counting()
    threads = [threading.Thread(target=counting.verify, args=(None, "x")) for _ in range(passwords.AT_ONCE)]
    for one in threads:
        one.start()
    while counting.now < passwords.AT_ONCE:
        threading.Event().wait(0.005)
    with pytest.raises(Problem) as refused:
        counting.verify(None, "x")
    counting.go.set()
    for one in threads:
        one.join(20)
    assert refused.value.status == 503
    assert refused.value.retry


def test_s4_an_unknown_address_costs_the_same_and_is_told_the_same(world: Peopled, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same number of the same verification, at the same cost, and the same words."""
    known, counting = world.add("analyst"), Counting()
    counting.go.set()
    monkeypatch.setattr(world.door, "hashes", counting)
    answers = [log_in(world.client(), email, "wrong all along") for email in (known, "nobody@example.org")]
    assert len(counting.asked) == 2
    costs = [extract_parameters(kept) for kept in counting.asked]
    assert costs[0] == costs[1]
    assert [one.status_code for one in answers] == [401, 401]
    texts = [one.text.replace(known, "…").replace("nobody@example.org", "…") for one in answers]
    assert texts[0] == texts[1]


def test_s6_a_password_that_is_changed_while_the_old_one_is_verified_opens_nothing(world: Peopled, monkeypatch: pytest.MonkeyPatch) -> None:
    email = world.add(email="raced@example.org")

    class Late(Passwords):
        def verify(self, kept: str | None, password: str) -> bool:
            with psycopg.connect(world.url) as conn:
                people.set_password(conn, person_id(world, email), CHEAP.hash("nine red vans at dusk"), "test", world.clock[0])
            return super().verify(kept, password)

    monkeypatch.setattr(world.door, "hashes", Late(64, 1))
    assert log_in(world.client(), email).status_code == 401


def test_s4_a_password_hashed_at_another_cost_is_hashed_anew(world: Peopled, monkeypatch: pytest.MonkeyPatch) -> None:
    email = world.add(email="old@example.org")
    monkeypatch.setattr(world.door, "hashes", Passwords(128, 1))
    assert log_in(world.client(), email).status_code == 303
    kept = rows(world, "SELECT password_hash FROM person WHERE email = %s", email)[0][0]
    assert extract_parameters(kept).memory_cost == 128


WEAK = [
    "",
    "short",
    "elevenSigns",
    "aaaaaaaaaaaaaaaa",
    "password1234",
    "Voltledger2026",
    "changeme-changeme"[:12],
    "anna.smith-12",
    "x" * 300,
]


@pytest.mark.parametrize("password", WEAK)
def test_s16_a_weak_password_is_refused_in_a_sentence_that_does_not_repeat_it(password: str) -> None:
    said = weakness(password, "anna.smith@example.org", "Anna Smith")
    assert said
    assert not password or password not in said
    assert "\n" not in said


@pytest.mark.parametrize("password", [PASSWORD, "correct horse battery staple", "Jx9-qwLp-77aZ", "пароль из пяти слов", "q3Zk-81xWv_TtB0a"])
def test_s16_a_good_password_is_taken(password: str) -> None:
    assert weakness(password, "anna.smith@example.org", "Anna Smith") is None
    assert weakness(one_time(), "anna.smith@example.org") is None


# ------------------------------------------------------------------------------------------------------------ S5


def test_s5_the_sixth_wrong_password_in_five_minutes_waits_and_so_does_the_right_one(world: Peopled) -> None:
    email = world.add(email="guessed@example.org")
    answers = [log_in(world.client(), email, "wrong", address=f"10.0.0.{n}").status_code for n in range(WRONG_PASSWORDS)]
    assert answers == [401] * WRONG_PASSWORDS
    refused = log_in(world.client(), email.upper(), PASSWORD, address="10.0.1.1")
    assert refused.status_code == 429
    assert 0 < int(refused.headers["Retry-After"]) <= WITHIN_S + 2
    assert "Too many wrong passwords: try again in 5 minutes." in refused.text
    failed, last = rows(world, "SELECT failed, last_failed_at FROM person WHERE email = %s", email)[0]
    assert (failed, last is None) == (WRONG_PASSWORDS, False)


def test_s5_nobody_is_locked_out_for_good() -> None:
    tries = Tries()
    assert [tries.wait_s("a@b", "10.0.0.1", float(n)) for n in range(WRONG_PASSWORDS)] == [0] * WRONG_PASSWORDS
    for second in range(WRONG_PASSWORDS, int(WITHIN_S)):  # whoever goes on guessing does not make it longer
        assert tries.wait_s("a@b", "10.0.0.9", float(second)) == WITHIN_S - second
    assert tries.wait_s("a@b", "10.0.0.9", WITHIN_S) == 0


def test_s5_an_address_that_tries_many_names_waits_too_and_the_others_do_not() -> None:
    tries = Tries()
    assert not any(tries.wait_s(f"n{n}@b", "2001:db8::1", 0.0) for n in range(WRONG_FROM_ADDRESS))
    assert tries.wait_s("other@b", "2001:db8::ffff:2", 1.0) > 0, "an IPv6 address counts by its /64"
    assert tries.wait_s("other@b", "2001:db8:1::1", 1.0) == 0


def test_s5_a_right_password_begins_anew() -> None:
    tries = Tries()
    for n in range(WRONG_FROM_ADDRESS * 3):
        assert tries.wait_s("a@b", "10.0.0.1", float(n)) == 0
        tries.succeeded("a@b", "10.0.0.1")


def test_s5_what_a_client_claims_of_its_address_is_not_believed(world: Peopled) -> None:
    """S12 too: without a proxy of ours X-Forwarded-For changes nothing."""
    claims = [{**NAVIGATE, "X-Forwarded-For": f"198.51.100.{n}"} for n in range(WRONG_FROM_ADDRESS + 1)]
    form = [{"email": f"who{n}@example.org", "password": "x"} for n in range(WRONG_FROM_ADDRESS + 1)]
    there = {"REMOTE_ADDR": "192.0.2.77"}
    codes = [
        world.client().post("/log-in", data=data, headers=headers, environ_base=there).status_code
        for data, headers in zip(form, claims, strict=True)
    ]
    assert codes == [401] * WRONG_FROM_ADDRESS + [429]


# ------------------------------------------------------------------------------------------------------------ S6


def cookies(answer: Any) -> dict[str, str]:
    """The cookies an answer sets, by name, in small letters."""
    return {one.partition("=")[0]: one.lower() for one in answer.headers.getlist("Set-Cookie")}


def test_s6_the_cookie_is_for_this_host_alone_and_no_script_reads_it(world: Peopled) -> None:
    form = {"email": world.add(), "password": PASSWORD}
    secure = cookies(world.client().post("/log-in", data=form, headers=NAVIGATE, base_url="https://volts.internal"))
    assert set(secure) == {"__Host-voltledger", "_csrf_token"}
    assert all(word in secure["__Host-voltledger"] for word in ("; secure", "; httponly", "; path=/", "; samesite=lax"))
    assert "domain" not in secure["__Host-voltledger"]
    assert "httponly" not in secure["_csrf_token"]
    plain = cookies(world.client().post("/log-in", data=form, headers=NAVIGATE))
    assert "; httponly" in plain["voltledger"]
    assert "; secure" not in plain["voltledger"]


def test_s6_a_log_in_has_a_new_id_each_time_and_ends_the_one_before(world: Peopled) -> None:
    somebody = world.logged_in()
    first = somebody.client.get_cookie("voltledger")
    assert log_in(somebody.client, world.add()).status_code == 303
    second = somebody.client.get_cookie("voltledger")
    assert first and second and first.value != second.value  # noqa: PT018 - one fact
    world.look()
    assert somebody.ask("/live/fleet").status_code == 200
    somebody.client.set_cookie("voltledger", first.value)
    assert somebody.ask("/live/fleet").status_code == 401


def test_s6_a_cookie_that_somebody_put_there_is_not_taken_over(world: Peopled) -> None:
    client = world.client()
    client.set_cookie("voltledger", "a" * 43)
    assert log_in(client, world.add()).status_code == 303
    cookie = client.get_cookie("voltledger")
    assert cookie and cookie.value != "a" * 43  # noqa: PT018 - one fact


def two_browsers(world: Peopled, email: str) -> tuple[Somebody, Somebody]:
    world.add("analyst", email)
    made = []
    for _ in range(2):
        client = world.client()
        assert log_in(client, email).status_code == 303
        made.append(Somebody(client))
    return made[0], made[1]


def test_s6_logging_out_ends_this_log_in_at_once_and_no_other(world: Peopled) -> None:
    one, other = two_browsers(world, "out@example.org")
    kept = one.client.get_cookie("voltledger")
    answer = one.ask("/log-out", "POST")
    assert (answer.status_code, answer.location) == (303, "/log-in")
    assert one.client.get_cookie("voltledger") is None
    one.client.set_cookie("voltledger", kept.value if kept else "")
    assert one.ask("/live/fleet").status_code == 401, "a stolen copy opens nothing either"
    assert other.ask("/live/fleet").status_code == 200


CHANGES = [
    ("PUT", "", {"name": "X", "role": "analyst", "active": False}, "disabled"),
    ("PUT", "", {"name": "X", "role": "viewer"}, "role changed"),
    ("POST", "/password", {}, "one-time password made"),
    ("DELETE", "/log-ins", None, "ended by an administrator"),
]


@pytest.mark.parametrize(("method", "path", "body", "because"), CHANGES)
def test_s6_what_an_administrator_changes_ends_open_pages_too(
    world: Peopled, method: str, path: str, body: dict[str, Any] | None, because: str
) -> None:
    email = f"{because.replace(' ', '-')}@example.org"
    one, other = two_browsers(world, email)
    who, admin = person_id(world, email), world.logged_in("admin")
    answer = admin.ask(f"/v1/people/{who}{path}", method, json=body)
    assert answer.status_code == 200, answer.text
    assert answer.json["openLogIns"] == 0
    for browser in (one, other):
        poll = browser.ask("/live/fleet")
        assert (poll.status_code, poll.mimetype, poll.headers["X-Log-In"]) == (401, "application/problem+json", "/log-in")
    assert rows(world, "SELECT DISTINCT ended_because FROM log_in WHERE person_id = %s", who) == [(because,)]
    assert log_in(world.client(), email).status_code == (303 if because in ("role changed", "ended by an administrator") else 401)


def test_s6_another_name_ends_nothing(world: Peopled) -> None:
    one, _ = two_browsers(world, "renamed@example.org")
    path = f"/v1/people/{person_id(world, 'renamed@example.org')}"
    assert world.logged_in("admin").ask(path, "PUT", json={"name": "New Name", "role": "analyst"}).status_code == 200
    world.look()
    assert one.ask("/v1/me").json["name"] == "New Name"


def change_password(somebody: Somebody, current: str, new: str, again: str | None = None) -> Any:
    form = {"current": current, "new": new, "again": new if again is None else again, "csrf": somebody.csrf}
    return somebody.client.post("/password", data=form, headers=NAVIGATE)


def test_s6_another_password_ends_every_other_log_in_and_gives_this_one_a_new_id(world: Peopled) -> None:
    one, other = two_browsers(world, "changes@example.org")
    before = one.csrf
    refused = [
        change_password(one, "not it", "nine red vans at dusk"),
        change_password(one, PASSWORD, "short"),
        change_password(one, PASSWORD, "nine red vans at dusk", "x"),
    ]
    assert [answer.status_code for answer in refused] == [422, 422, 422]
    assert change_password(one, PASSWORD, "nine red vans at dusk").status_code == 303
    world.look()
    assert one.csrf != before
    assert one.ask("/live/fleet").status_code == 200
    assert other.ask("/live/fleet").status_code == 401
    assert log_in(world.client(), "changes@example.org").status_code == 401
    assert log_in(world.client(), "changes@example.org", "nine red vans at dusk").status_code == 303


def test_s6_a_one_time_password_opens_only_the_way_to_another_one(world: Peopled) -> None:
    admin = world.logged_in("admin")
    made = admin.ask("/v1/people", "POST", json={"email": "New@Example.org", "name": "New", "role": "technician"})
    assert made.status_code == 201
    assert made.headers["Cache-Control"] == "no-store"
    client = world.client()
    assert log_in(client, "new@example.org", made.json["oneTimePassword"]).status_code == 303
    new = Somebody(client)
    assert new.open("/alerts").location == "/password?next=%2Falerts"
    assert [new.ask(path).status_code for path in ("/live/fleet", "/v1/vehicles", "/_dash-layout")] == [403, 403, 403]
    assert new.ask("/v1/me").json["mustChangePassword"] is True
    assert change_password(new, made.json["oneTimePassword"], PASSWORD).status_code == 303
    assert new.ask("/live/fleet").status_code == 200
    assert made.json["oneTimePassword"] not in admin.ask("/v1/people").text


def test_s6_a_one_time_password_lapses(world: Peopled) -> None:
    email = world.add(email="late@example.org", one_time=True)
    world.later(timedelta(days=1))
    assert log_in(world.client(), email).status_code == 401


def test_s6_a_log_in_that_nobody_uses_is_over_and_a_pages_clock_is_no_use(world: Peopled) -> None:
    idle, used = world.logged_in("viewer"), world.logged_in("viewer")
    for _ in range(4):
        world.later(timedelta(minutes=10))
        last = [idle.ask("/live/fleet").status_code, used.ask("/live/fleet", headers={"X-Person-Active": "1"}).status_code]
    assert last == [401, 200]


def test_s6_a_log_in_is_over_after_twelve_hours_however_it_is_used(world: Peopled) -> None:
    somebody = world.logged_in("viewer")
    codes = []
    for _ in range(49):
        world.later(timedelta(minutes=15))
        codes.append(somebody.ask("/live/fleet", headers={"X-Person-Active": "1"}).status_code)
    assert codes == [200] * 47 + [401] * 2


def test_s6_what_is_over_is_written_down(world: Peopled) -> None:
    world.logged_in("viewer")
    world.later(timedelta(hours=1))
    world.door.logged_in._all_at_s = -presence.TELL_EVERY_S * 1e6  # it is time to tell
    world.look()
    assert rows(world, "SELECT count(*) FROM log_in WHERE ended_at IS NULL") == [(0,)]


def test_s6_polls_cost_no_query(world: Peopled, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is logged in is known in memory: not one look more for fifty polls of a page."""
    somebody = world.logged_in("viewer")
    assert somebody.ask("/live/fleet").status_code == 200
    monkeypatch.setattr(world.door.logged_in, "_after_a_look", lambda _: pytest.fail("it asks the database"))
    monkeypatch.setattr(world.door, "_connect", lambda: pytest.fail("it asks the database"))
    assert {somebody.ask("/live/fleet").status_code for _ in range(50)} == {200}


def test_s6_every_process_knows_a_log_in_at_once_and_its_end(world: Peopled) -> None:
    other = presence.Presence(lambda: connect(world.url, "log-ins", 5), lambda: world.clock[0]).start()
    try:
        for _ in range(3):
            somebody = world.logged_in("viewer")
            cookie = somebody.client.get_cookie("voltledger")
            found = other.find(cookie.value if cookie else "", does_something=False)
            assert found is not None
            assert found.email == "viewer@example.org"
        somebody.ask("/log-out", "POST")
        other._after_a_look(b"")
        assert other.find(cookie.value if cookie else "", does_something=False) is None
    finally:
        other.close()


def test_s6_where_log_ins_cannot_be_read_nobody_is_let_in(world: Peopled, monkeypatch: pytest.MonkeyPatch) -> None:
    somebody = world.logged_in("viewer")
    monkeypatch.setattr(presence, "HOLDS_S", -1.0)
    answer = somebody.ask("/live/fleet")
    assert answer.status_code == 503
    assert answer.json["type"].endswith("log_ins_unknown")
    assert answer.headers["Retry-After"]


def test_s6_unencrypted_from_elsewhere_nobody_logs_in(world: Peopled, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(world.door, "plain_http", False)
    form = {"email": world.add(), "password": PASSWORD}
    refused = world.client().post("/log-in", data=form, headers=NAVIGATE)
    assert refused.status_code == 403
    assert "https://" in refused.text
    assert world.client().post("/log-in", data=form, headers=NAVIGATE, base_url="https://volts.internal").status_code == 303


OUTSIDE = [
    "//evil.example",
    "https://evil.example/",
    "/\\evil.example",
    "javascript:alert(1)",
    "evil",
    "/a\r\nSet-Cookie: x=1",
    "",
    "/log-in?next=/",
    "/%09/evil"[:1] + "/evil",
]


@pytest.mark.parametrize("wanted", OUTSIDE)
def test_s7_the_way_back_leads_nowhere_else(world: Peopled, wanted: str) -> None:
    assert safe_next(wanted) == "/"
    assert log_in(world.client(), world.add(), then=wanted).location == "/"


@pytest.mark.parametrize("wanted", ["/alerts?q=van 7", "/vehicles/van-7?range=7d#x", "/admin/keys"])
def test_s7_the_way_back_leads_to_where_they_were(world: Peopled, wanted: str) -> None:
    assert safe_next(wanted) == wanted


# ------------------------------------------------------------------------------------------------------------ S14, S15


@pytest.mark.parametrize(
    "form",
    [
        {"email": ""},
        {"email": "x" * 5000, "password": "y"},
        {"email": "a\x00b@c", "password": "\x00"},
        {"email": '<script>"', "password": "x"},
    ],
)
def test_s14_whatever_is_typed_the_answer_is_the_page(world: Peopled, form: dict[str, str]) -> None:
    answer = world.client().post("/log-in", data=form, headers=NAVIGATE, environ_base={"REMOTE_ADDR": "192.0.2.5"})
    assert answer.status_code == 401
    assert answer.mimetype == "text/html"
    assert "<script>&" not in answer.text
    assert '<script>"' not in answer.text


@pytest.mark.parametrize(
    ("body", "kind", "status"), [(b"x" * 20_000, "application/x-www-form-urlencoded", 413), (b"{}", "application/json", 415)]
)
def test_s14_what_is_no_form_is_refused(world: Peopled, body: bytes, kind: str, status: int) -> None:
    assert world.client().post("/log-in", data=body, content_type=kind, headers=NAVIGATE).status_code == status


def record(world: Peopled, email: str) -> list[tuple[str, str]]:
    """Who did what to somebody, in order."""
    return [
        (by, action)
        for by, action in rows(
            world, "SELECT by, action FROM audit WHERE subject = %s ORDER BY audit_id", f"person {person_id(world, email)}"
        )
    ]


def test_s15_the_record_says_who_did_what_and_cannot_be_changed(world: Peopled) -> None:
    admin = world.logged_in("admin")
    made = admin.ask("/v1/people", "POST", json={"email": "told@example.org", "name": "Told", "by": "somebody else"})
    path = f"/v1/people/{made.json['personId']}"
    log_in(world.client(), "told@example.org", "wrong")
    assert log_in(world.client(), "told@example.org", made.json["oneTimePassword"]).status_code == 303
    admin.ask(path, "PUT", json={"name": "Told", "role": "technician"})
    admin.ask(path, "PUT", json={"name": "Told", "role": "technician", "active": False})
    by, here = "admin@example.org", "127.0.0.1"
    assert record(world, "told@example.org") == [
        (by, "person created"), (here, "log-in failed"), (here, "logged in"), (by, "role changed"), (by, "log-ins ended"), (by, "person disabled"), (by, "log-ins ended"),
    ]  # fmt: skip
    with psycopg.connect(world.url) as conn, pytest.raises(psycopg.errors.RaiseException):
        conn.execute("UPDATE audit SET by = 'nobody'")
    assert not re.search(r"argon2|" + made.json["oneTimePassword"], str(rows(world, "SELECT * FROM audit")))


def test_s15_whoever_is_logged_in_cannot_write_another_name_into_the_record(world: Peopled) -> None:
    """Whatever the body says."""
    admin = world.logged_in("admin")
    assert admin.ask("/v1/mappings/van-9", "PUT", json={"meterId": "depot-9", "by": "The boss"}).status_code in (200, 201)
    assert admin.ask("/v1/mapping-changes?vehicle=van-9").json["changes"][0]["by"] == "admin@example.org"


def test_s8_the_last_administrator_stays(world: Peopled) -> None:
    admin = world.logged_in("admin")
    path = f"/v1/people/{person_id(world, 'admin@example.org')}"
    for body in ({"name": "A", "role": "viewer"}, {"name": "A", "role": "admin", "active": False}):
        assert admin.ask(path, "PUT", json=body).status_code == 409
    assert admin.ask("/v1/me").json["role"] == "admin"


def test_an_address_is_given_once(world: Peopled) -> None:
    admin = world.logged_in("admin")
    answer = admin.ask("/v1/people", "POST", json={"email": "ADMIN@example.org", "name": "Again"})
    assert (answer.status_code, answer.json["errors"][0]["pointer"]) == (422, "/email")
    assert admin.ask("/v1/people/999999").status_code == 404
