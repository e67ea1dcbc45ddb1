"""S7, S8, S9: without a log-in nothing but the public list; with one, what the role is for; and no change without the page's token."""

import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from api.people import roles
from api.people.door import CSRF_HEADER
from db.people import Role
from edge import public
from tests.people_support import FETCH, NAVIGATE, Peopled, peopled
from tests.support import fresh_database

VALUES = {"vehicleId": "van-7", "meterId": "depot-1", "siteId": "ber", "keyId": "0" * 12, "rule": "low_efficiency", "tab": "keys"}


@pytest.fixture(scope="module")
def world(postgres_url: str, template_database: str) -> Iterator[Peopled]:
    with fresh_database(postgres_url, template_database, "people_routes") as url, peopled(url) as made:
        made.client().get("/healthz")  # Dash adds routes until its first request
        yield made


def path_of(rule: Any) -> str:
    """A path that a rule matches."""
    built = rule.rule
    for name in rule.arguments:
        for kind in ("int:", "path:", "string:", ""):
            built = built.replace(f"<{kind}{name}>", VALUES.get(name, "1"))
    return str(built)


def rules(world: Peopled) -> list[tuple[str, str, str]]:
    """Rule, a path and a method of every route."""
    found = [(one.rule, path_of(one), method) for one in world.dash.server.url_map.iter_rules() for method in sorted(one.methods or ())]
    return [(rule, path, method) for rule, path, method in found if method not in ("HEAD", "OPTIONS")]


# ------------------------------------------------------------------------------------------------------------ S7


def test_s7_every_route_that_is_not_public_answers_401_to_whoever_is_nobody(world: Peopled) -> None:
    client, wrong = world.client(), []
    for rule, path, method in rules(world):
        answer = client.open(path, method=method, headers=FETCH)
        if rule not in public.FOR_EVER and (answer.status_code != 401 or answer.mimetype != "application/problem+json"):
            wrong.append((method, path, answer.status_code))
    assert len(rules(world)) > 60
    assert wrong == []


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "PUT", "PATCH", "TRACE"])
@pytest.mark.parametrize("path", ["/", "/admin", "/v1/vehicles", "/v1/nope", "/live/fleet", "/metricsx", "/_dash-layout", "/nope"])
def test_s7_no_other_method_or_path_is_a_way_round(world: Peopled, path: str, method: str) -> None:
    assert world.client().open(path, method=method, headers=FETCH).status_code == 401


def test_s7_what_is_public_is_answered_and_tells_nothing_of_anybody(world: Peopled) -> None:
    client = world.client()
    for path in ("/healthz", "/readyz", "/log-in", "/assets/00-boot.js", "/_favicon.ico"):
        with client.get(path, buffered=True) as answer:
            assert answer.status_code == 200, path
    assert {rule for rule, _, _ in rules(world)} >= public.FOR_EVER.keys()


@pytest.mark.parametrize("path", ["/", "/admin/keys", "/vehicles/van-7?range=7d", "/api", "/api/swagger"])
def test_s7_a_page_leads_to_the_log_in_and_back(world: Peopled, path: str) -> None:
    answer = world.client().get(path, headers=NAVIGATE)
    assert answer.status_code == 303
    assert answer.location == (
        "/log-in" if path == "/" else f"/log-in?next={path.replace('/', '%2F').replace('?', '%3F').replace('=', '%3D')}"
    )


@pytest.mark.parametrize("path", ["/_dash-layout", "/_dash-dependencies", "/_dash-update-component", "/live/fleet", "/v1/vehicles"])
def test_s7_what_scripts_ask_is_never_led_to_a_page(world: Peopled, path: str) -> None:
    """Not even where a browser says that it shows the answer."""
    for headers in (FETCH, NAVIGATE, {"Accept": "text/html"}):
        answer = world.client().open(
            path, method="POST" if "update" in path else "GET", json={} if "update" in path else None, headers=headers
        )
        assert (answer.status_code, answer.mimetype) == (401, "application/problem+json")
        assert answer.headers["X-Log-In"] == "/log-in"


@pytest.mark.parametrize("cookie", ["", "x", "a" * 43, "é" * 43, "a" * 5000, "../../etc/passwd", "' OR 1=1 --"])
def test_s6_a_made_up_cookie_opens_nothing(world: Peopled, cookie: str) -> None:
    answer = world.client().get("/live/fleet", headers={**FETCH, "Cookie": f"voltledger={cookie}; __Host-voltledger={cookie}"})
    assert answer.status_code == 401


def test_s7_a_key_opens_the_api_and_no_page(world: Peopled) -> None:
    wrong = {**FETCH, "Authorization": "Bearer 000000000000." + "a" * 43}
    for path in ("/", "/live/fleet", "/_dash-layout", "/v1/vehicles", "/metrics"):
        assert world.client().get(path, headers=wrong).status_code == 401


# ------------------------------------------------------------------------------------------------------------ S8


def role_of(action: roles.Action) -> list[Role]:
    return [role for role in roles.ROLES if roles.may(role, action)]


def test_s8_each_role_may_what_the_one_below_may_and_more(world: Peopled) -> None:
    sets = [roles.MAY[role] for role in ("viewer", "technician", "analyst", "admin")]
    assert all(low < high for low, high in itertools.pairwise(sets))
    assert roles.MAY["admin"] == set(roles.ACTIONS)


@pytest.mark.parametrize("role", roles.ROLES)
def test_s8_every_route_refuses_every_role_it_is_not_for(world: Peopled, role: Role) -> None:
    """403 from the route itself, whatever is sent; and never 401 or 403 for those it is for."""
    somebody, wrong = (
        world.logged_in(
            role,
        ),
        [],
    )
    for rule, path, method in rules(world):
        if rule in public.FOR_EVER or rule in ("/log-out", "/password") or rule.startswith(("/v1/telemetry", "/_dash-update")):
            continue
        if method != "GET" and roles.may(role, roles.needed(method, rule)):
            continue  # it would be carried out; what is allowed is tested by name below
        answer = somebody.ask(path, method)
        refused = answer.status_code == 403 and answer.json["type"].endswith(":forbidden")
        if refused == roles.may(role, roles.needed(method, rule)) or answer.status_code == 401:
            wrong.append((method, path, answer.status_code))
    assert wrong == []


DEEDS: list[tuple[str, str, Any, roles.Action, int]] = [
    ("POST", "/v1/alerts/1/acknowledge", {"note": "seen"}, "tend", 404),
    ("POST", "/v1/silences", {}, "tend", 422),
    ("DELETE", "/v1/silences/1", None, "tend", 404),
    ("GET", "/v1/reports/summaries", None, "export", 200),
    ("GET", "/v1/reports/sessions/preview", None, "export", 200),
    ("PUT", "/v1/mappings/van-7", {"meterId": "depot-1"}, "administer", 200),
    ("PUT", "/v1/vehicles/van-7", {"name": "Van 7"}, "administer", 200),
    ("PUT", "/v1/alert-rules/no_rule", {"settings": {}}, "administer", 422),
    ("GET", "/v1/notice-channels", None, "administer", 200),
    ("GET", "/v1/keys", None, "administer", 200),
    ("POST", "/v1/keys", {}, "administer", 422),
    ("GET", "/v1/people", None, "administer", 200),
    ("POST", "/v1/people", {}, "administer", 422),
    ("GET", "/v1/vehicles", None, "see", 200),
    ("GET", "/live/fleet", None, "see", 200),
    ("GET", "/metrics", None, "see", 200),
]


@pytest.mark.parametrize("role", roles.ROLES)
def test_s8_each_deed_is_done_by_its_roles_and_refused_to_the_others(world: Peopled, role: Role) -> None:
    somebody, wrong = world.logged_in(role), []
    for method, path, body, action, done in DEEDS:
        answer = somebody.ask(path, method, json=body) if body is not None else somebody.ask(path, method)
        expected = done if role in role_of(action) else 403
        if answer.status_code // 100 != expected // 100 or (answer.status_code == 403) != (expected == 403):
            wrong.append((method, path, answer.status_code, expected))
    assert wrong == []


def page_callback(world: Peopled, path: str) -> dict[str, Any]:
    """What Dash's renderer sends for the contents of a page."""
    output, callback = next((key, one) for key, one in world.dash.callback_map.items() if "_pages_content" in key and "callback" in one)
    given = [{**one, "value": path if one["property"] == "pathname" else ""} for one in callback["inputs"]]
    ids = [{"id": name.rpartition(".")[0], "property": name.rpartition(".")[2]} for name in output.strip(".").split("...")]
    return {"output": output, "outputs": ids, "inputs": given, "state": [], "changedPropIds": []}


@pytest.mark.parametrize("role", roles.ROLES)
@pytest.mark.parametrize(
    ("path", "action"),
    [("/", "see"), ("/alerts", "see"), ("/reports", "export"), ("/admin", "administer"), ("/admin/people", "administer")],
)
def test_s8_pages_refuse_in_the_callback_and_as_a_page(world: Peopled, role: Role, path: str, action: roles.Action) -> None:
    somebody = world.logged_in(role)
    allowed = 200 if role in role_of(action) else 403
    answer = somebody.ask("/_dash-update-component", "POST", json=page_callback(world, path))
    assert answer.status_code == allowed
    assert (answer.headers.get("X-Refused-Page") == "1") == (allowed == 403)
    assert somebody.open(path).status_code == allowed


def test_s8_every_callback_asks_who_is_there(world: Peopled) -> None:
    somebody, nobody = world.logged_in("viewer"), world.client()
    served = {output: one for output, one in world.dash.callback_map.items() if "callback" in one}
    assert len(served) > 10
    for output, one in served.items():
        body = {"output": output, "inputs": one["inputs"], "state": one["state"], "changedPropIds": []}
        assert nobody.post("/_dash-update-component", json=body, headers=FETCH).status_code == 401
        if roles.needed_by_callback(output) != "see":
            assert somebody.ask("/_dash-update-component", "POST", json=body).status_code == 403


# ------------------------------------------------------------------------------------------------------------ S9


@pytest.mark.parametrize("token", ["", "x", "another"])
def test_s9_no_change_and_no_callback_without_the_token_of_this_log_in(world: Peopled, token: str) -> None:
    somebody, other = world.logged_in("admin"), world.logged_in("admin") if token == "another" else None
    shown = {CSRF_HEADER: other.csrf if other else token}
    body = page_callback(world, "/")
    for method, path, sent in (("PUT", "/v1/vehicles/van-8", {}), ("POST", "/_dash-update-component", body), ("POST", "/log-out", None)):
        answer = somebody.ask(path, method, json=sent, headers=shown)
        assert (answer.status_code, answer.json["type"]) == (403, "urn:voltledger:problem:no_csrf_token")
    assert somebody.ask("/live/fleet").status_code == 200, "nobody is logged out by another site"
    assert somebody.ask("/_dash-update-component", "POST", json=body).status_code == 200


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_s9_another_sites_page_is_refused_whatever_it_knows(world: Peopled, site: str) -> None:
    somebody = world.logged_in("admin")
    assert somebody.ask("/v1/vehicles/van-8", "PUT", json={}, headers={"Sec-Fetch-Site": site}).status_code == 403
    form = {"email": "admin@example.org", "password": "x"}
    assert world.client().post("/log-in", data=form, headers={"Sec-Fetch-Site": site}).status_code == 403
