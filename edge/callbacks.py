"""What may reach Dash: a body that its own renderer could have sent, a script that it has. Dash itself answers anything else with 500."""

from collections.abc import Mapping
from typing import Any

import orjson
from dash.exceptions import DependencyException
from flask import Flask, Request, Response, request

from api import errors
from api.errors import Problem
from edge.same_site import CALLBACKS

MOST_BYTES = 1024 * 1024  # the largest of ours, a figure's zoom with all inputs, has a few kB


def guard(server: Flask, known: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse what is not well-formed for one of Dash's `known` callbacks by output, a map that may still grow."""

    @server.before_request
    def refuse_garbage() -> Response | None:
        if request.path != CALLBACKS or request.method != "POST":
            return None
        problem = refusal_by_head(request) or refusal_by_body(request.get_data(cache=True), known)
        return errors.response(problem) if problem else None

    @server.errorhandler(DependencyException)
    def no_such_script(_: DependencyException) -> Response:
        return Response(f"Not Found\nRequest {errors.request_id()}\n", status=404, mimetype="text/plain")


def refusal_by_head(asked: Request) -> Problem | None:
    """What is wrong with it before anything of it is read."""
    if asked.content_length is None:
        return Problem(411, "length_required", "Length Required", "the body's length is not given")
    if asked.content_length > MOST_BYTES:
        return Problem(413, "body_too_large", "Content Too Large", f"the body is larger than {MOST_BYTES} bytes")
    if asked.mimetype != "application/json":
        return Problem(415, "unsupported_media_type", "Unsupported Media Type", "a callback takes application/json")
    return None


def refusal_by_body(raw: bytes, known: Mapping[str, Mapping[str, Any]]) -> Problem | None:
    """What is wrong with it, held against Dash's map of callbacks by output."""
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return Problem(400, "not_json", "Bad Request", "the body is not JSON")
    callback = _callback(body, known)
    if callback is None:
        return Problem(400, "unknown_callback", "Bad Request", "no callback has this output")
    if not _fits(body, callback):
        return Problem(400, "misshapen_callback", "Bad Request", "the callback takes other inputs")
    return None


def _callback(body: object, known: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any] | None:
    output = body.get("output") if isinstance(body, dict) else None
    found = known.get(output) if isinstance(output, str) else None
    return found if found and "callback" in found else None  # those without one run in the browser


def _fits(body: dict[str, Any], callback: Mapping[str, Any]) -> bool:
    outputs, changed = body.get("outputs"), body.get("changedPropIds", [])
    given = [outputs] if isinstance(outputs, dict) else outputs
    several = body["output"].startswith("..")
    return (
        several == isinstance(outputs, list)
        and _names(given) == _outputs(body["output"])
        and _names(body.get("inputs", [])) == [(one["id"], one["property"]) for one in callback["inputs"]]
        and _names(body.get("state", [])) == [(one["id"], one["property"]) for one in callback["state"]]
        and isinstance(changed, list)
        and all(isinstance(one, str) for one in changed)
    )


def _names(given: object) -> list[tuple[Any, Any]] | None:
    """(id, property) of each; None where it is no list of such."""
    if not isinstance(given, list) or not all(isinstance(one, dict) for one in given):
        return None
    return [(one.get("id"), one.get("property")) for one in given]


def _outputs(output: str) -> list[tuple[str, str]]:
    """The (id, property) pairs of `a.b` or `..a.b...c.d..`."""
    names = output[2:-2].split("...") if output.startswith("..") else [output]
    return [(name.rpartition(".")[0], name.rpartition(".")[2]) for name in names]
