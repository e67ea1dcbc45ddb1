"""What axe-core finds on a page."""

from collections.abc import Collection

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

GRAVE = ("serious", "critical")


def findings(page: Page, impacts: Collection[str] = GRAVE, but: Collection[str] = ()) -> list[str]:
    """Rules of these impacts that are broken, each with the first elements it names."""
    found = Axe().run(page).response["violations"]
    return [
        f"{one['id']}: {[node['html'][:160] for node in one['nodes'][:3]]}"
        for one in found
        if one["impact"] in impacts and one["id"] not in but
    ]
