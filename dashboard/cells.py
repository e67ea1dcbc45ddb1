"""Reading a matrix of vehicles and chargers for a page, which must not wait for ever."""

from collections.abc import Callable

import psycopg

from charging.matrix import Cell
from db.queries.matrix import TooManyCells


def cells_or_why(read: Callable[[], list[Cell]]) -> tuple[list[Cell] | None, str]:
    """The cells, or None and why there are none. A statement that was ended takes its transaction with it: read them last."""
    try:
        return read(), ""
    except TooManyCells as error:
        return None, f"Too many to show: {error}."
    except psycopg.errors.QueryCanceled:
        return None, "It would take longer than a page may wait: too many vehicles took turns at these chargers."
