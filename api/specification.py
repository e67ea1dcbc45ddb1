"""The OpenAPI document, completed: what every route answers, every refusal, and the key that opens it. Made once, when it is first asked for."""

import re
from typing import Any

from flask_openapi3 import OpenAPI

from api.answers import ANSWERS, JSON, SCHEMAS, UNTOLD, Told
from api.errors import PROBLEM_TYPE
from api.keys import rights
from api.schemas import ID_PATTERN

_METHODS = frozenset(("get", "post", "put", "delete", "patch"))
_ALWAYS = {
    400: "Malformed, as HTTP or as what was to be sent",
    401: "No key, or a wrong one",
    403: "This key may not",
    404: "There is no such thing",
    405: "Not with this method",
    414: "The address is longer than the server reads",
    421: "By a name that is not this server's",
    429: "Too fast, or too many at once",
    431: "The headers are longer than the server reads",
    503: "Not now; nothing is confirmed, send the same again",
}
_WITH_BODY = {
    409: "Not in the state it is in",
    411: "The length of the body is not given",
    413: "Larger than the limit",
    415: "Another content type or encoding than is taken",
}
_WITH_VALUES = {422: "A value is missing, of the wrong type or out of range; `errors` says which"}
_COMES_BACK = (429, 503)
_TYPES: dict[str, dict[str, Any]] = {
    "any": {},
    "count": {"type": "integer", "minimum": 0},
    "id": {"type": "string", "pattern": ID_PATTERN.replace(r"\Z", "$")},
    "instant": {"type": "string", "format": "date-time"},
}


class SpecifiedApi(OpenAPI):
    """flask-openapi3's application with the completed document at its address."""

    def generate_spec_json(self) -> None:
        """Called once, by whoever asks first."""
        super().generate_spec_json()  # type: ignore[no-untyped-call]
        complete(self.spec_json)


def complete(document: dict[str, Any]) -> None:
    """Add answers, refusals and keys, in place."""
    components = document["components"]
    components["schemas"].pop("ValidationErrorModel", None)  # flask-openapi3's own form of a refusal; ours is a problem
    components["schemas"] |= {name: _object(members) for name, members in SCHEMAS.items()}
    components["securitySchemes"] = {
        "key": {"type": "http", "scheme": "bearer", "description": "Where keys are required: the key as it was shown when it was made"}
    }
    components["responses"] = {str(status): _problem(words, status) for status, words in (_ALWAYS | _WITH_BODY | _WITH_VALUES).items()}
    for path, methods in document["paths"].items():
        for method in _METHODS & methods.keys():
            _complete_route(method.upper(), path, methods[method])


def _complete_route(method: str, path: str, route: dict[str, Any]) -> None:
    told = ANSWERS.get(f"{method} {path}", UNTOLD)
    refusals = {**_ALWAYS, **(_WITH_BODY if method != "GET" else {}), **_WITH_VALUES}
    route["responses"] = {
        **{str(status): _answer(told) for status in told.statuses},
        **{str(status): {"$ref": f"#/components/responses/{status}"} for status in sorted(refusals)},
    }
    if right := rights.needed(method, path):
        # The empty one says: or none at all, where keys are not required.
        route["security"] = [{"key": []}, {}]
        route["description"] = f"{route.get('description', '')}\n\nA key needs the right `{right}`.".strip()


def _answer(told: Told) -> dict[str, Any]:
    forms: dict[str, Any] = {JSON: {"schema": _schema(told.body)}} if told.json else {}
    forms |= {form: {"schema": {"type": "string", "format": "binary"}} for form in told.others}
    return {"description": "Done", "content": forms, "headers": {"X-Request-Id": {"schema": {"type": "string"}}}}


def _problem(words: str, status: int) -> dict[str, Any]:
    headers: dict[str, Any] = {"X-Request-Id": {"schema": {"type": "string"}}}
    if status in _COMES_BACK:
        headers["Retry-After"] = {"schema": {"type": "integer", "minimum": 1}, "description": "Seconds"}
    return {"description": words, "headers": headers, "content": {PROBLEM_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}}


def _schema(body: str) -> dict[str, Any]:
    return _object(body) if ":" in body else _type(body)


def _object(members: str) -> dict[str, Any]:
    pairs = [member.split(":") for member in members.split()]
    properties = {name.removesuffix("?"): _type(kind) for name, kind in pairs}
    return {"type": "object", "required": [name for name, _ in pairs if not name.endswith("?")], "properties": properties}


def _type(kind: str) -> dict[str, Any]:
    if kind.endswith("[]"):
        return {"type": "array", "items": _type(kind[:-2])}
    if kind.endswith("?"):
        return {"anyOf": [_type(kind[:-1]), {"type": "null"}]}
    if re.match("[A-Z]", kind):
        return {"$ref": f"#/components/schemas/{kind}"}
    return dict(_TYPES.get(kind) or ({} if kind == "any" else {"type": kind}))
