"""A request's body: refused early by its headers, inflated within its limits, parsed strictly. Knows no framework."""

import zlib
from dataclasses import dataclass
from typing import Any

import orjson

from api.errors import Problem


@dataclass(frozen=True, slots=True)
class Head:
    """What a request's headers say about its body; `length` None where they do not say it, `encoding` in small letters."""

    content_type: str
    encoding: str = ""
    length: int | None = None
    chunked: bool = False


def refuse_by_head(head: Head, body_bytes: int, takes: str = "application/json") -> None:
    """Raise Problem 400, 413 or 415 before anything is read; `takes` is the only content type taken."""
    if head.chunked and head.length is not None:
        raise Problem(400, "ambiguous_length", "Bad Request", "give Content-Length or Transfer-Encoding, not both")
    if (head.length or 0) > body_bytes:
        raise _too_large(f"the body is larger than {body_bytes} bytes")
    if head.content_type != takes and head.content_type.partition(";")[0].strip().lower() != takes:
        raise Problem(415, "unsupported_media_type", "Unsupported Media Type", f"send Content-Type: {takes}")
    if head.encoding not in ("", "identity", "gzip"):
        raise Problem(415, "unsupported_encoding", "Unsupported Media Type", "Content-Encoding may be gzip or absent")


def json_value(head: Head, raw: bytes, body_bytes: int, inflated_bytes: int) -> Any:
    """The body's JSON value. Raises Problem 400 or 413."""
    try:
        return orjson.loads(plain(head, raw, body_bytes, inflated_bytes))
    except orjson.JSONDecodeError as error:
        raise Problem(400, "not_json", "Bad Request", f"the body is not JSON: {str(error)[:200]}") from None


def plain(head: Head, raw: bytes, body_bytes: int, inflated_bytes: int) -> bytes:
    """The body, inflated; `raw` may hold one byte more than allowed, to show that it is too long. Raises Problem 400 or 413."""
    if len(raw) > body_bytes:
        raise _too_large(f"the body is larger than {body_bytes} bytes")
    return _inflated(raw, inflated_bytes) if head.encoding == "gzip" else raw


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
