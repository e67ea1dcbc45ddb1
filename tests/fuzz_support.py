"""What both fuzzers need: how long they may take, and a seed that repeats a run."""

import os
import random
import time

# A minute each in `make test`; `make fuzz` gives ten, and FUZZ_SECONDS anything.
SECONDS = float(os.environ.get("FUZZ_SECONDS", "60"))
# What starting the server and judging the end may take besides.
MOST_SECONDS = SECONDS * 1.5 + 240


# `make test` judges a change by the same requests as the one before it; looking for new ones is what `make fuzz` is for.
_SAME = 20_261_124


def seed() -> int:
    """FUZZ_SEED, else another one each time where FUZZ_SECONDS asks for a search."""
    if given := int(os.environ.get("FUZZ_SEED", "0")):
        return given
    return random.SystemRandom().randrange(1, 2**31) if "FUZZ_SECONDS" in os.environ else _SAME


class Until:
    """True as long as there is time."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def __bool__(self) -> bool:
        return time.monotonic() < self._end
