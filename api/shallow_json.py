"""How Flask reads a JSON body: a deep one is wrong, and no error of ours. NaN and the like are left to whoever knows the field to name."""

from typing import Any

from flask.json.provider import DefaultJSONProvider


class ShallowJson(DefaultJSONProvider):
    """Raises ValueError for what is no JSON, which Flask answers 400."""

    def loads(self, s: str | bytes, **more: Any) -> Any:
        """The value."""
        try:
            return super().loads(s, **more)
        except RecursionError:
            raise ValueError("too deeply nested") from None
