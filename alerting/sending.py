"""What every way out shares: what it is handed, what it raises, and how this installation is set."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from db.outbox import Claimed

Sender = Callable[[Claimed, datetime], None]


class NotDelivered(Exception):
    """A notice did not reach its channel; the message says why, in words for people, without anything secret."""


@dataclass(frozen=True, slots=True)
class MailServer:
    """Where e-mail is handed in. `sender`: its From address."""

    host: str
    port: int = 587
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    sender: str = "voltledger@localhost"
    tls: Literal["starttls", "tls", "none"] = "starttls"


@dataclass(frozen=True, slots=True)
class Outgoing:
    """`public_url`: where people reach the pages, for links. `to_private`: whether notices may go to private addresses."""

    public_url: str | None = None
    to_private: bool = False
    mail: MailServer | None = None

    def link(self, notice: Claimed) -> str | None:
        """The page that a notice leads to; None where nobody said where the pages are."""
        return self.public_url and self.public_url.rstrip("/") + str(notice.body.get("path") or "/alerts")


def outgoing(settings: Any) -> Outgoing:
    """As the settings (config.Settings) say."""
    mail = _mail_server(settings) if settings.smtp_host else None
    return Outgoing(settings.public_url, settings.notices_to_private, mail)


def _mail_server(settings: Any) -> MailServer:
    """Without a sender the name to log in with is one, if it can be; else one at the mail server."""
    user, password = settings.smtp_user, settings.smtp_password
    sender = settings.smtp_from or (user if user and "@" in user else f"voltledger@{settings.smtp_host}")
    return MailServer(settings.smtp_host, settings.smtp_port, user, password and password.get_secret_value(), sender, settings.smtp_tls)
