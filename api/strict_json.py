"""How Flask reads a JSON body: as strictly as the telemetry routes do. Python's own reader takes NaN, and ends in a RecursionError where it is deep."""

from typing import Any

import orjson
from flask.json.provider import DefaultJSONProvider


class StrictJson(DefaultJSONProvider):
    """Raises ValueError for what is no JSON, which Flask answers 400."""

    def loads(self, s: str | bytes, **_: Any) -> Any:
        """The value."""
        return orjson.loads(s)
