"""What the controls of a list say, as what is wanted of the database."""

from typing import Any, get_args

from db.queries.alerts import State, Wanted

# How the open ones can be narrowed down: value → what it is called, and what it means.
OPEN_STATES = {
    "firing": "Firing", "recovering": "Recovering", "new": "Not acknowledged", "acknowledged": "Acknowledged", "silenced": "Silenced",
    "held": "Held back", "pending": "Pending",
}  # fmt: skip
PAST_STATES = {"resolved": "Resolved", "open": "Open", "firing": "Firing", "recovering": "Recovering"}
_MEANING: dict[str, dict[str, Any]] = {
    "firing": {"state": "firing"}, "recovering": {"state": "recovering"}, "new": {"acknowledged": False}, "acknowledged": {"acknowledged": True},
    "silenced": {"silenced": True}, "held": {"held_back": True},
}  # fmt: skip
# What is searched for is a name, not a novel; the address carries it too.
MOST_Q = 100


def inbox(q: str | None, state: str | None, severity: str | None, rule: str | None, site: str | None) -> Wanted:
    """Open ones. What another alert explains stands folded under that one, but where it is asked for itself."""
    meant = _MEANING.get(state or "", {})
    narrowed = bool(q or severity or rule or site or state)
    return Wanted(**{**_same(q, severity, rule, site), "held_back": None if narrowed else False, **meant})


def history(q: str | None, state: str | None, severity: str | None, rule: str | None, site: str | None) -> Wanted:
    """Of any state, unless one is chosen."""
    chosen: State = next((known for known in get_args(State) if known == state), "any")
    return Wanted(state=chosen, **_same(q, severity, rule, site))


def _same(q: str | None, severity: str | None, rule: str | None, site: str | None) -> dict[str, Any]:
    words = (q or "").replace("\0", "").strip()[:MOST_Q]
    return {"q": words or None, "severity": severity or None, "rule": rule or None, "site_id": site or None}


def page_before(text: Any) -> int | None:
    """An alert's id out of an address; None where it is none."""
    return int(text) if isinstance(text, str) and text.isascii() and text.isdecimal() and len(text) < 19 else None
