"""One installation for all scenarios that heal; the long ones run only where FAULTS=full says so."""

from collections.abc import Iterator

import pytest

from tests.faults.installation import Installation, installed, wait_until
from tests.faults.running import FULL


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what `make test-faults` is for."""
    if not FULL:
        left = [item for item in items if item.get_closest_marker("faults")]
        items[:] = [item for item in items if item not in left]
        config.hook.pytest_deselected(items=left)


@pytest.fixture(scope="package")
def shared() -> Iterator[Installation]:
    """Started once, and gone when the last scenario is over; see `there`."""
    with installed() as running:
        yield running


@pytest.fixture
def there(shared: Installation) -> Installation:
    """A healthy installation that others have used and will use: leave it running."""
    wait_until(shared.ready, 60, "healthy before the scenario")
    return shared
