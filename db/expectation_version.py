"""A number that grows with everything that changes how vehicles are judged, so that whoever keeps what it worked out knows when it is stale."""

from db.engine import Conn


def bump(conn: Conn) -> None:
    """Thresholds, a vehicle's site or model, or a meter's rated power have changed in this transaction.

    The last statement of a transaction, or nearly: it makes every other one that does the same wait for its end.
    """
    conn.execute("UPDATE expectation_version SET version = version + 1")


def current(conn: Conn) -> int:
    """The number now."""
    row = conn.execute("SELECT version FROM expectation_version").fetchone()
    assert row
    return int(row[0])  # type: ignore[call-overload, no-any-return]
