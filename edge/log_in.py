"""Nobody gets past without a log-in: pages lead to it and back, everything else is told 401. And the log-in's own pages."""

from typing import Any
from urllib.parse import urlencode, urlsplit

import orjson
from flask import Flask, Request, Response, g, redirect, request

from api.errors import Problem
from api.errors import response as problem_response
from api.keys import rights
from api.people import roles
from api.people.door import Door
from edge import public
from edge.log_in_pages import log_in_page, password_page, refused_page
from edge.same_site import CALLBACKS

LOG_IN, LOG_OUT, PASSWORD = "/log-in", "/log-out", "/password"
LOG_IN_HEADER = "X-Log-In"  # on a 401: where a page shall lead its person to
REFUSED_HEADER = "X-Refused-Page"  # on a 403: what is refused is the page itself, so that loading it says so
MOST_FORM_BYTES = 16 * 1024
_OURS = (LOG_IN, LOG_OUT, PASSWORD)
_NO_PAGES = ("/v1", "/live/", "/_", "/metrics", "/healthz", "/readyz", "/assets/")


def guard(server: Flask, door: Door) -> None:
    """Stand before every route of `server` that is not open for ever. What keys open, /v1 and /metrics, is judged there."""

    @server.before_request
    def refuse_strangers() -> Response | None:
        rule = rights.place(request.url_rule.rule if request.url_rule else None, request.path)
        if rule in public.FOR_EVER or rights.needed(request.method, rule):
            return None
        try:
            door.admit(_needed(request) if door.present() else "see")  # nothing that nobody sends is read
        except Problem as problem:
            return _refusal(problem)
        return None

    @server.after_request
    def say_where_to_log_in(answer: Response) -> Response:
        if answer.status_code == 401 and "Authorization" not in request.headers:
            answer.headers[LOG_IN_HEADER] = LOG_IN
        if answer.mimetype == "text/html" and request.path != LOG_IN:
            answer.headers["Cache-Control"] = "no-store"  # nothing is shown again by going back after the log-out
        return answer

    _pages(server, door)


def is_navigation(asked: Request) -> bool:
    """Whether a browser is about to show the answer as a page."""
    if asked.method not in ("GET", "HEAD") or asked.path.startswith(_NO_PAGES):
        return False
    mode = asked.headers.get("Sec-Fetch-Mode")
    return mode == "navigate" if mode else "text/html" in asked.headers.get("Accept", "")


def safe_next(wanted: str | None) -> str:
    """Where to go after the log-in: a path of ours, else the first page."""
    if (
        not wanted
        or not wanted.startswith("/")
        or wanted.startswith("//")
        or "\\" in wanted
        or any(sign < " " or sign == "\x7f" for sign in wanted)
    ):
        return "/"
    parts = urlsplit(wanted)
    return "/" if parts.scheme or parts.netloc or parts.path in _OURS or len(wanted) > 2000 else wanted


def _needed(asked: Request) -> roles.Action:
    if asked.path != CALLBACKS:
        return roles.needed(asked.method, asked.path)
    body = _callback(asked)
    shown = _page_asked(body)
    return roles.needed("GET", shown) if shown else roles.needed_by_callback(str(body.get("output", "")))


def _callback(asked: Request) -> dict[str, Any]:
    """The body of a callback; what is none is refused by edge.callbacks, after its sender is known."""
    if asked.content_length is None or asked.content_length > MOST_FORM_BYTES * 64:
        return {}
    try:
        body = orjson.loads(asked.get_data(cache=True))
    except orjson.JSONDecodeError:
        return {}
    return body if isinstance(body, dict) else {}


def _page_asked(body: dict[str, Any]) -> str | None:
    """The path of the page whose contents are asked for."""
    if "_pages_content" not in str(body.get("output", "")):
        return None
    inputs = body.get("inputs")
    given = [one for one in inputs if isinstance(one, dict)] if isinstance(inputs, list) else []
    path = next((one.get("value") for one in given if one.get("property") == "pathname"), None)
    return path if isinstance(path, str) and path.startswith("/") else "/"


def _refusal(problem: Problem) -> Response:
    if is_navigation(request) and problem.status == 401:
        path = request.full_path if request.query_string else request.path
        return _away(LOG_IN, path)
    if is_navigation(request) and problem.kind == "password_must_change":
        return _away(PASSWORD, request.path)
    if is_navigation(request) and problem.status == 403:
        return _html(refused_page(g.person.name, g.person.role), 403)
    answer = problem_response(problem)
    if problem.kind in ("forbidden", "password_must_change") and _page_asked(_callback(request) if request.path == CALLBACKS else {}):
        answer.headers[REFUSED_HEADER] = "1"
    return answer


def _away(to: str, then: str) -> Response:
    there: Any = redirect(f"{to}?{urlencode({'next': then})}" if safe_next(then) != "/" else to, 303)
    there.headers["Cache-Control"] = "no-store"
    return there  # type: ignore[no-any-return]


def _pages(server: Flask, door: Door) -> None:
    def show_log_in() -> Response:
        then = safe_next(request.args.get("next"))
        return _html(log_in_page(then, "", None)) if door.present() is None else _away(then, "/")

    def do_log_in() -> Response:
        form = _form()
        email, then = form.get("email", "")[:200], safe_next(form.get("next"))
        try:
            token = door.log_in(email, form.get("password", ""))
        except Problem as problem:
            return _html(log_in_page(then, email, problem.detail), problem.status, problem)
        return door.give(_away(then, "/"), token)

    def do_log_out() -> Response:
        door.log_out()
        return door.take(_away(LOG_IN, "/"))

    def show_password() -> Response:
        return _asked_for(door, safe_next(request.args.get("next")))

    def change_password() -> Response:
        form = _form()
        then = safe_next(form.get("next"))
        try:
            if form.get("new", "") != form.get("again", ""):
                raise Problem(422, "not_the_same", "Unprocessable Content", "The new password was typed in two ways.")
            token = door.change_password(form.get("current", ""), form.get("new", ""))
        except Problem as problem:
            return _asked_for(door, then, problem)
        return door.give(_away(then, "/"), token)

    for path, name, method, view in (
        (LOG_IN, "show_log_in", "GET", show_log_in),
        (LOG_IN, "do_log_in", "POST", do_log_in),
        (LOG_OUT, "do_log_out", "POST", do_log_out),
        (PASSWORD, "show_password", "GET", show_password),
        (PASSWORD, "change_password", "POST", change_password),
    ):
        server.add_url_rule(path, name, view, methods=[method])


def _asked_for(door: Door, then: str, problem: Problem | None = None) -> Response:
    """The page that asks for another password."""
    found, fault = door.admit("own"), problem.detail if problem else None
    page = password_page(then, door.csrf(), found.name, found.email, fault, must_change=found.must_change)
    return _html(page, problem.status if problem else 200, problem)


def _form() -> dict[str, str]:
    """What was typed. Raises Problem 411, 413 and 415."""
    if request.content_length is None:
        raise Problem(411, "length_required", "Length Required", "the body's length is not given")
    if request.content_length > MOST_FORM_BYTES:
        raise Problem(413, "body_too_large", "Content Too Large", f"the form is larger than {MOST_FORM_BYTES} bytes")
    if request.mimetype != "application/x-www-form-urlencoded":
        raise Problem(415, "unsupported_media_type", "Unsupported Media Type", "a form is sent as application/x-www-form-urlencoded")
    return {name: value.replace("\x00", "") for name, value in request.form.items()}


def _html(page: str, status: int = 200, problem: Problem | None = None) -> Response:
    answer = Response(page, status=status, mimetype="text/html", headers={"Cache-Control": "no-store"})
    if problem is not None and problem.retry is not False:
        answer.headers["Retry-After"] = problem_response(problem).headers["Retry-After"]
    return answer
