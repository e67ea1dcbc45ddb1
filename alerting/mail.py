"""Notices as e-mail: plain text with a simple HTML twin, handed to the operator's mail server."""

import hashlib
import smtplib
import ssl
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime

from alerting import addresses, words
from alerting.sending import MailServer, NotDelivered, Outgoing
from db.outbox import Claimed

TIMEOUT_S = 10.0  # for each step of the conversation; mail servers like to think before they greet


class Mail:
    """Sends to the channel's address by the mail server of the settings. `tls`: whom to trust; the system's authorities where absent."""

    def __init__(self, outgoing: Outgoing, tls: ssl.SSLContext | None = None) -> None:
        self._outgoing, self._tls = outgoing, tls or ssl.create_default_context()

    def __call__(self, notice: Claimed, now: datetime) -> None:  # noqa: ARG002 - every sender is handed the time
        """Raises NotDelivered."""
        server = self._outgoing.mail
        if server is None:
            raise NotDelivered("no mail server is set: see VOLTLEDGER_SMTP_HOST")
        if addresses.faulty("email", notice.address):
            raise NotDelivered("the channel's address is not an e-mail address")
        made = message(notice, server, self._outgoing.link(notice))
        try:
            with self._connected(server) as session:
                session.send_message(made, server.sender, [notice.address])
        except (OSError, smtplib.SMTPException, ValueError) as error:
            raise NotDelivered(addresses.redacted(_why(error), notice.address, server.password, server.user)) from None

    def _connected(self, server: MailServer) -> smtplib.SMTP:
        if server.tls == "tls":
            session: smtplib.SMTP = smtplib.SMTP_SSL(server.host, server.port, timeout=TIMEOUT_S, context=self._tls)
        else:
            session = smtplib.SMTP(server.host, server.port, timeout=TIMEOUT_S)
        try:
            if server.tls == "starttls":
                session.starttls(context=self._tls)
            if server.user and server.password:
                session.login(server.user, server.password)
        except BaseException:
            session.close()
            raise
        return session


def message(notice: Claimed, server: MailServer, link: str | None) -> EmailMessage:
    """The e-mail. The same notice sent twice has the same Message-ID, and all of one alert stand in one thread."""
    made = EmailMessage()
    domain = server.sender.rpartition("@")[2]
    made["From"] = f"Voltledger <{server.sender}>"
    made["To"] = notice.address
    made["Subject"] = words.subject(notice.body)
    made["Date"] = format_datetime(notice.created_at)
    made["Message-ID"] = f"<{hashlib.sha256(notice.key.encode()).hexdigest()[:32]}@{domain}>"
    if notice.episode_id is not None:
        made["References"] = f"<episode-{notice.episode_id}-{notice.channel_id}@{domain}>"
    made["Auto-Submitted"] = "auto-generated"  # nobody's holiday answer comes back
    made.set_content(words.text(notice.body, link))
    made.add_alternative(words.html(notice.body, link), subtype="html")
    return made


def _why(error: Exception) -> str:
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        code, said = next(iter(error.recipients.values()))
        return f"the mail server refused the recipient: {code} {_text(said)}"
    if isinstance(error, smtplib.SMTPResponseException):
        return f"the mail server said {error.smtp_code} {_text(error.smtp_error)}"
    if isinstance(error, smtplib.SMTPNotSupportedError):
        return "the mail server does not offer what the settings ask for (TLS or log-in)"
    return _why_not_reached(error)


def _why_not_reached(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "the mail server did not answer in time"
    if isinstance(error, ssl.SSLError):
        return f"no TLS connection to the mail server: {getattr(error, 'verify_message', '') or error.reason}"
    if isinstance(error, OSError) and error.strerror:
        return f"the mail server cannot be reached: {error.strerror}"
    return "the mail server broke off"


def _text(said: bytes | str) -> str:
    return words.line(said.decode(errors="replace") if isinstance(said, bytes) else said)
