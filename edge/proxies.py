"""Whom a request comes from, where proxies of ours stand in between."""

from werkzeug.middleware.proxy_fix import ProxyFix

from edge.headers import Wsgi


def behind(rest: Wsgi, count: int) -> Wsgi:
    """WSGI: with the address and scheme that the last `count` proxies vouch for. With none, what a client claims in X-Forwarded-For is ignored."""
    return ProxyFix(rest, x_for=count, x_proto=count, x_host=0, x_port=0, x_prefix=0) if count else rest
