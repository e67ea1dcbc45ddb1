"""What a viewer has, and what changed since, make the newest picture."""

import copy
import gzip
import random
from typing import Any

import orjson
import requests

from dashboard.pictures import Album, Content, Picture, difference
from tests.browser_support import FakeFleet, served


def _content(size: int, seed: int) -> Content:
    draw = random.Random(seed)
    return {
        "asOf": str(seed),
        "stale": False,
        "alerts": [],
        "vehicles": {"id": [f"van-{n}" for n in range(size)], "soc": [draw.random() for _ in range(size)], "site": ["Depot"] * size},
    }


def _moved(content: Content, rows: list[int]) -> Content:
    after = copy.deepcopy(content)
    after["asOf"] += "+"
    for row in rows:
        after["vehicles"]["soc"][row] = None
    return after


def _told(picture: Picture, etag: str) -> Any:
    return orjson.loads(gzip.decompress(picture.since(etag)))


def _patched(before: Content, changes: dict[str, Any]) -> Content:
    """As assets/30-live.js does it."""
    after = {**copy.deepcopy(before), **{name: value for name, value in changes.items() if name not in ("since", "vehicles")}}
    for name, column in changes["vehicles"].items():
        row = 0
        for step, value in zip(column["rows"], column["values"], strict=True):
            row += step
            after["vehicles"][name][row] = value
    return after


def test_what_changed_put_into_the_picture_before_is_the_picture() -> None:
    for rows in ([], [0], [99], [0, 1, 50, 99], list(range(100))):
        before = _content(100, 1)
        after = _moved(before, rows)
        changes = difference(before, after)
        assert changes is not None
        assert "stale" not in changes, "what is the same is not said again"
        assert _patched(before, changes) == after


def test_other_vehicles_are_no_change_but_another_picture() -> None:
    assert difference(_content(100, 1), _content(101, 1)) is None


def test_a_viewer_some_pictures_behind_is_sent_what_changed_and_one_far_behind_everything() -> None:
    album, contents = Album(), [_content(100, 1)]
    pictures = [album.add(contents[0], 0.0)]
    for n in range(6):
        contents.append(_moved(contents[-1], [n, 10 * n + 10]))
        pictures.append(album.add(contents[-1], 0.0))
    newest = pictures[-1]
    for behind in (1, 2, 3):
        changes = _told(newest, pictures[-1 - behind].etag)
        assert changes["since"] == pictures[-1 - behind].etag
        assert _patched(contents[-1 - behind], changes) == contents[-1]
    for unknown in (pictures[0].etag, "", "nonsense"):
        assert _told(newest, unknown) == contents[-1]


def test_the_same_bytes_serve_every_viewer_of_a_picture() -> None:
    album = Album()
    first = album.add(_content(100, 1), 0.0)
    second = album.add(_moved(_content(100, 1), [3]), 0.0)
    assert second.since(first.etag) is second.since(first.etag)
    assert len(second.since(first.etag)) < len(second.body)


def test_who_has_the_newest_picture_is_told_that_nothing_changed() -> None:
    """304 and no body, also to a viewer that asks for what changed; a body of its own where something did."""
    fleet = FakeFleet(40)
    with served(fleet) as address:
        first = requests.get(f"{address}/live/fleet", timeout=10)
        etag = first.headers["ETag"]
        asked: Any = {"url": f"{address}/live/fleet", "params": {"since": etag.strip('"')}, "headers": {"If-None-Match": etag}}
        same = requests.get(**asked, timeout=10)
        fleet.tick()
        changed = requests.get(**asked, timeout=10)
    assert (first.status_code, same.status_code, same.content, changed.status_code) == (200, 304, b"", 200)
    assert changed.json()["since"] == etag.strip('"')
    assert changed.headers["ETag"] != etag
