"""Where notices may go: only to the open internet, unless the operator says otherwise. Judged by what a name resolves to, not by the name.

Everything here uses the standard library only: the API judges an address with it before it keeps it, the delivery at every connection.
"""

import ipaddress
import socket
from collections.abc import Callable

Resolver = Callable[[str, int], list[str]]

_OPEN_IPV6 = ipaddress.IPv6Network("2000::/3")  # all that is given out; what is mapped, compatible or translated (NAT64) lies elsewhere
# `is_global` says yes to some of these. Teredo and 6to4 carry an IPv4 address, maybe a private one.
_NEVER = tuple(
    ipaddress.ip_network(one)
    for one in ("2001::/32", "2002::/16", "100.64.0.0/10", "192.88.99.0/24")  # the last two: carriers', 6to4 relays
)
MOST_ADDRESSES = 4  # of one name that are tried, so that a name with many dead ones does not use up the time


class Refused(ValueError):
    """The address is one that notices may not go to; the message says which and how to allow it."""


class Unknown(ValueError):
    """The name does not resolve."""


def is_public(address: str) -> bool:
    """Whether an IP address belongs to the open internet, and to nothing that is translated into a private one."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if not ip.is_global or ip.is_multicast or ip.is_reserved or ip.is_unspecified:
        return False
    if ip.version == 6 and ip not in _OPEN_IPV6:
        return False
    return not any(ip in net for net in _NEVER)


def resolve(host: str, port: int) -> list[str]:
    """The addresses of a host, in the system's order, each once. Raises Unknown."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError, ValueError):
        raise Unknown(f"{host} is not known: its name does not resolve") from None
    return list(dict.fromkeys(str(one[4][0]) for one in found))


def allowed(host: str, port: int, *, to_private: bool, resolver: Resolver = resolve) -> list[str]:
    """The addresses to connect to, resolved once. Raises Unknown, and Refused where any of them is not public and `to_private` is off."""
    found = resolver(host, port)
    if not found:
        raise Unknown(f"{host} is not known: its name does not resolve")
    if not to_private and not all(is_public(one) for one in found):
        raise Refused(f"{host} is a private address; VOLTLEDGER_NOTICES_TO_PRIVATE=1 allows notices to go there")
    return found[:MOST_ADDRESSES]
