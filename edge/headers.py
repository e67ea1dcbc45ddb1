"""What every answer tells a browser it must not do with it."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any
from urllib.parse import urlsplit

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

# What is no page of ours runs nothing, loads nothing and is shown in nobody's frame.
NO_PAGE = "default-src 'none'; frame-ancestors 'none'"
ALWAYS = (
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "same-origin"),  # ids of vehicles are in our addresses
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
)
# A year. Without includeSubDomains and preload, which are for whoever owns the whole domain to say.
ONLY_TLS = ("Strict-Transport-Security", "max-age=31536000")


def page_policy(script_hashes: Sequence[str], tiles: str | None) -> str:
    """The content security policy of a page. Plotly and the kit write styles into elements, hence 'unsafe-inline' for those alone."""
    images = " ".join(["'self'", "data:", "blob:", *([tiles] if tiles else [])])
    return "; ".join(
        (
            "default-src 'self'",
            " ".join(["script-src 'self'", *script_hashes]),
            "style-src 'self' 'unsafe-inline'",
            f"img-src {images}",
            "font-src 'self' data:",
            "connect-src 'self'",
            "object-src 'none'",
            "base-uri 'none'",
            "form-action 'self'",
            "frame-ancestors 'none'",
        )
    )


def tiles_source(url: str) -> str:
    """The origin of a Leaflet template like https://{s}.tile.example.org/{z}/{x}/{y}.png, as a policy names it. Raises ValueError."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    labels = ["*" if "{" in label else label for label in host.split(".")]
    wild = max((n for n, label in enumerate(labels) if label == "*"), default=0)
    name = ".".join(["*", *labels[wild + 1 :]]) if "*" in labels else host  # a policy knows a star only at the front
    if parts.scheme not in ("http", "https") or not host or any(sign in name for sign in " ;,'\"") or name == "*":
        raise ValueError("a tiles address begins with https:// and names a host")
    return f"{parts.scheme}://{name}"


class Headers:
    """WSGI: `rest`'s answers with these headers. `script_hashes` is asked for every page, since Dash adds scripts until its first request."""

    def __init__(self, rest: Wsgi, script_hashes: Callable[[], Sequence[str]], tiles_url: str | None, only_tls: bool) -> None:
        self._rest, self._script_hashes = rest, script_hashes
        self._tiles = tiles_source(tiles_url) if tiles_url else None
        self._always = [*ALWAYS, ONLY_TLS] if only_tls else list(ALWAYS)

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """One request."""

        def start(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
            return start_response(status, self._with_ours(headers), *more)

        return self._rest(environ, start)

    def _with_ours(self, headers: list[tuple[str, str]]) -> list[tuple[str, str]]:
        kind = next((value for name, value in headers if name.lower() == "content-type"), "")
        policy = page_policy(self._script_hashes(), self._tiles) if kind.startswith("text/html") else NO_PAGE
        ours = [*self._always, ("Content-Security-Policy", policy)]
        names = {name.lower() for name, _ in ours}
        return [*(header for header in headers if header[0].lower() not in names), *ours]
