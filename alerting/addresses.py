"""The address of a notice channel: what form it has, and what of it may be shown. The rest of it is as good as a password."""

import re
from typing import Literal
from urllib.parse import SplitResult, urlsplit

Kind = Literal["webhook", "email", "apprise"]
KINDS: tuple[Kind, ...] = ("webhook", "email", "apprise")
MOST_ADDRESS = 2000  # characters, as in the database
_MAIL = re.compile(
    r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*"
)
_PLAIN = re.compile(r"[\x21-\x7e]+")  # no space, no line break, no letter that looks like another one

# Services of Apprise that live at an address of their own: what stands where a host would is a token, and is never shown.
HOSTED = frozenset(
    (
        "46elks elks eight00com awswhatsapp ses sns atalk acs bale bsky bluesky brevo bulksms bulkvs cm chanify wxteams webex clicksend "
        "clicksend clickatell d7sms dingtalk discord exotel feishu firehydrant fcm flock freemobile gchat groupme guilded gupshup ifttt "
        "instagram jira join kaleyra klr kavenegar kook burstsms kudosity kumulos lark line msg91 mailersend msgbird nostr notifiarr "
        "notifyre octopush azure o365 onesignal opsgenie pagerduty pagertree plivo postmark prowl pushme pushward pbul pushed pover "
        "pushplus wecom psafer psafers pushy qq reddit resend revolt ringc ryver signl4 smsmgr smsmanager smsc sendgrid schan serwersms "
        "sfr signalgrid spush simplepush sinch slack spike splunk victorops spugpush squadcast strmlabs push tgram telesign telnyx "
        "threema twilio twist x twitter tweet vapid viber voipms vonage nexmo wecombot whapi whatsapp wxpusher zalo cliq zoom zulip "
        "httpsms ilert incidentio seven mailgun sparkpost smtp2go sendpulse infobip wechat notica noticas betterstack"
    ).split()
)
# Services that people run themselves: the host is in the address, and is checked like a webhook's.
SELF_HOSTED = frozenset(
    (
        "apprise apprises bark barks emby embys form forms goalert goalerts gorush gorushs gotify gotifys hassio hassios humhub humhubs "
        "jellyfin jellyfins json jsons kodi kodis lametric lametrics mailto mailtos mastodon mastodons matrix matrixs misskey misskeys "
        "mmost mmosts ncloud nclouds nctalk nctalks notifico notificos ntfy ntfys parsep parseps pjet pjets pushdeer pushdeers rocket "
        "rockets signal signals smseagle smseagles synology synologys workflow workflows xml xmls xmatters"
    ).split()
)


def faulty(kind: Kind, address: str) -> str | None:
    """What is wrong with the form of an address, in words for whoever typed it; None where nothing is."""
    if not 1 <= len(address) <= MOST_ADDRESS or not _PLAIN.fullmatch(address):
        return f"an address is 1 to {MOST_ADDRESS} letters, digits and signs of ASCII, without spaces"
    return {"webhook": _faulty_webhook, "email": _faulty_mail, "apprise": _faulty_apprise}[kind](address)


def _faulty_webhook(address: str) -> str | None:
    parts = split(address)
    if parts is None or parts.scheme not in ("http", "https"):
        return "a webhook's address begins with https:// or http:// and a host"
    if parts.username is not None or "\\" in address:
        return "a webhook's address has no user name and no backslash in it; what is sent is signed instead"
    return None


def _faulty_mail(address: str) -> str | None:
    fine = len(address) <= 254 and _MAIL.fullmatch(address) and ".." not in address
    return None if fine else "an e-mail address is one like somebody@example.org"


def _faulty_apprise(address: str) -> str | None:
    scheme = address.partition("://")[0].lower()
    if "://" not in address or scheme not in HOSTED | SELF_HOSTED:
        return "an Apprise address begins with the name of a service, like slack://, tgram:// or ntfys://; those that write to this machine (file, syslog, dbus …) are not taken"
    if scheme in SELF_HOSTED and host_and_port("apprise", address) is None:
        return f"{scheme}:// needs a host"
    return None


def split(address: str) -> SplitResult | None:
    """The parts of an address with a host and a port that can be; None otherwise."""
    try:
        parts = urlsplit(address)
        return parts if parts.hostname and (parts.port is None or parts.port > 0) else None
    except ValueError:
        return None


def host_and_port(kind: Kind, address: str) -> tuple[str, int] | None:
    """Whom the address itself names as the one to connect to; None for e-mail and for services at an address of their own."""
    scheme = address.partition("://")[0].lower()
    if kind == "email" or (kind == "apprise" and scheme not in SELF_HOSTED):
        return None
    parts = split(address)
    return (parts.hostname, parts.port or (80 if scheme == "http" else 443)) if parts and parts.hostname else None


def shown(kind: Kind, address: str) -> str:
    """What of an address people and logs may see: how it is reached and the host."""
    if kind == "email":
        return f"…@{address.rpartition('@')[2]}"
    scheme = address.partition("://")[0]
    host = host_and_port(kind, address)
    return f"{scheme}://{host[0]}/…" if host else f"{scheme}://…"


def redacted(text: str, address: str, *secrets: str | None) -> str:
    """The text without any piece of the address (its scheme and the host that is shown aside) and without the secrets, for errors that others worded."""
    place = host_and_port("email" if "://" not in address else "apprise", address)
    host = place[0].lower() if place else ""
    kept = {address.partition("://")[0].lower(), host, *re.split(r"[^a-z0-9_-]+", host)}
    pieces = {one for one in (*re.split(r"[^A-Za-z0-9_-]+", address), *re.split(r"[/?&=@:,]+", address)) if len(one) >= 4}
    hidden = {one for one in pieces if one.lower() not in kept} | {one for one in (address, *secrets) if one}
    for one in sorted(hidden, key=len, reverse=True):
        text = text.replace(one, "•••")
    return text
