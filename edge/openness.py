"""Open or closed, never by accident: who can reach us, what we refuse to start with, and what every page says about it."""

import ipaddress
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

# What examples, images and impatience put there. A password that is the user's name, or this short, is no better.
WEAK = frozenset(
    "admin changeme change-me default example geheim letmein passw0rd password postgres postgresql qwertyuiop root secret test "
    "volt voltledger 12345678 123456789 1234567890".split()
)
SHORTEST_PASSWORD = 8


@dataclass(frozen=True, slots=True)
class Openness:
    """What decides. `host` is where we listen; `published_on` is where that is published, for one in a container.

    `by_tls`: people come by https:// only, or through a proxy of ours that says how they come.
    """

    host: str
    published_on: str | None = None
    require_keys: bool = False
    insecure_open: bool = False
    require_login: bool = False
    by_tls: bool = False

    @classmethod
    def of(cls, settings: Any) -> "Openness":
        """What config.Settings says."""
        by_tls = settings.https_only or settings.proxies > 0
        return cls(settings.host, settings.published_on, settings.require_keys, settings.insecure_open, settings.require_login, by_tls)

    @property
    def beyond_this_machine(self) -> bool:
        """Whether others than this machine's own programs can reach us."""
        return not _is_loopback(self.published_on or self.host)

    @property
    def plain_http(self) -> bool:
        """Whether a password may travel unencrypted: where nothing leaves this machine, or somebody said that it may."""
        return not self.beyond_this_machine or self.insecure_open

    @property
    def notice(self) -> str:
        """A sentence for every page; none where people log in."""
        if self.require_login:
            return ""
        if not self.beyond_this_machine:
            return "Open on this machine only: no log-in is set up"
        if self.require_keys:
            return "Devices need keys, but these pages are open to everybody who can reach this address: no log-in is set up"
        return "Open to everybody who can reach this address: no log-in is set up"


def refusal(openness: Openness, database_url: str | None, debug: bool) -> str | None:
    """One line about what to change before we start; None where nothing stands against it. Never names a secret."""
    if debug:
        return "FLASK_DEBUG and DASH_DEBUG show code and values to whoever causes an error: unset them"
    if line := _half_closed(openness):
        return line
    if not openness.beyond_this_machine:
        return None
    if not (openness.require_login or openness.insecure_open):
        return _too_open(openness)
    if database_url and _is_weak(database_url):
        return (
            f"The password in DATABASE_URL is easily guessed (one that examples use, the user's name, or under {SHORTEST_PASSWORD} signs):"
            " give the database's user another one before others can reach this machine"
        )
    return None


def _half_closed(openness: Openness) -> str | None:
    """A log-in that would keep nobody out, or give passwords away."""
    if not openness.require_login:
        return None
    if not openness.require_keys:
        return "VOLTLEDGER_REQUIRE_LOGIN=1 needs VOLTLEDGER_REQUIRE_KEYS=1 too: the API would tell everybody what the pages show to people only"
    if not (openness.plain_http or openness.by_tls):
        return (
            "Passwords would travel unencrypted: put a proxy with TLS in front and set VOLTLEDGER_PROXIES, or set VOLTLEDGER_HTTPS_ONLY=1"
            " where people come by https:// only"
        )
    return None


def _too_open(openness: Openness) -> str:
    where = f"VOLTLEDGER_PUBLISHED_ON={openness.published_on}" if openness.published_on else f"VOLTLEDGER_HOST={openness.host}"
    published = "" if openness.published_on else ", or in a container VOLTLEDGER_PUBLISHED_ON to the address its port is published on"
    return (
        f"{where} lets others than this machine in, and nobody is asked who they are: set VOLTLEDGER_REQUIRE_LOGIN=1 and VOLTLEDGER_REQUIRE_KEYS=1{published},"
        " or INSECURE_OPEN=1 if everybody who can reach it may read and change everything"
    )


def _is_loopback(host: str) -> bool:
    """An empty address is every address."""
    try:
        return host.lower() == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False  # a name: where it leads may change


def _is_weak(database_url: str) -> bool:
    try:
        parts = conninfo_to_dict(database_url)
    except psycopg.ProgrammingError:
        return False  # said elsewhere
    password = parts.get("password")
    if password is None:
        return False  # a socket, a certificate or a password file
    said = str(password)
    return len(said) < SHORTEST_PASSWORD or said.lower() in WEAK or said == parts.get("user")
