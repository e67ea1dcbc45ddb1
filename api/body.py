"""A request's body: refused early, read within its limits, inflated within its limits, parsed strictly."""

import zlib
from typing import Any

import orjson
from flask import request

from api.errors import Problem


def json_body(body_bytes: int, inflated_bytes: int) -> Any:
    """The body's JSON value. Raises Problem 400, 413 or 415."""
    _refuse_by_headers(body_bytes)
    raw = request.stream.read(body_bytes + 1)
    if len(raw) > body_bytes:
        raise _too_large(f"the body is larger than {body_bytes} bytes")
    if request.headers.get("Content-Encoding", "identity").strip().lower() == "gzip":
        raw = _inflated(raw, inflated_bytes)
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise Problem(400, "not_json", "Bad Request", f"the body is not JSON: {str(error)[:200]}") from None


def _refuse_by_headers(body_bytes: int) -> None:
    if request.headers.get("Transfer-Encoding") and request.headers.get("Content-Length"):
        raise Problem(400, "ambiguous_length", "Bad Request", "give Content-Length or Transfer-Encoding, not both")
    if (request.content_length or 0) > body_bytes:
        raise _too_large(f"the body is larger than {body_bytes} bytes")
    if request.mimetype != "application/json":
        raise Problem(415, "unsupported_media_type", "Unsupported Media Type", "send Content-Type: application/json")
    encoding = request.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in ("identity", "gzip", ""):
        raise Problem(415, "unsupported_encoding", "Unsupported Media Type", "Content-Encoding may be gzip or absent")


def _too_large(detail: str) -> Problem:
    return Problem(413, "too_large", "Content Too Large", detail)


def _inflated(raw: bytes, most: int) -> bytes:
    inflater = zlib.decompressobj(31)
    try:
        data = inflater.decompress(raw, most + 1)
    except zlib.error:
        raise _broken_gzip() from None
    if len(data) > most:
        raise _too_large(f"the body inflates to more than {most} bytes")
    if not inflater.eof or inflater.unused_data:
        raise _broken_gzip()
    return data


def _broken_gzip() -> Problem:
    return Problem(400, "broken_gzip", "Bad Request", "the body is not one whole gzip member")
