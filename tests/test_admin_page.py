"""The admin page without a browser: what its layouts, its scripts and the settings table promise each other."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from config import Settings
from dashboard.pages import admin
from dashboard.pages.admin import settings as settings_tab
from dashboard.pages.admin.page import TABS
from dashboard.shell import layout as shell_layout

SCRIPTS = "8?-admin*.js"
# Elements that the scripts make themselves, by the beginning of their ids.
OWN = ("admin-field-", "admin-form-", "admin-file-", "admin-q")


def _settings(**given: Any) -> Settings:
    return Settings(_env_file=None, **given)


def _text(tab: str) -> str:
    return json.dumps(admin.layout(tab, _settings()), default=lambda part: part.to_plotly_json(), ensure_ascii=False)


def _scripts(project: Path) -> str:
    return "\n".join(path.read_text(encoding="utf-8") for path in sorted((project / "assets").glob(SCRIPTS)))


def test_every_element_the_scripts_look_for_is_in_a_tab(project: Path) -> None:
    """By id; those they make themselves aside."""
    script = _scripts(project)
    sought = set(re.findall(r'(?:getElementById|byId|box)\("([\w-]+)"\)', script)) | set(re.findall(r'grid: "([\w-]+)"', script))
    there = set(re.findall(r'"id": "([\w-]+)"', "".join(map(_text, TABS))))
    assert {name for name in sought if not name.startswith(OWN)} - there == set()
    assert len(sought) > 10


def test_every_action_of_a_button_is_known_to_the_scripts(project: Path) -> None:
    """And every cell renderer and client function."""
    pages, script = "".join(map(_text, TABS)), _scripts(project)
    actions = set(re.findall(r'"data-admin": "(\w+)"', pages))
    assert actions == {"export", "new", "middle", "settings"}
    assert all(re.search(rf"^    {action}: \(\)", script, re.MULTILINE) for action in actions)
    assert all(f"cells.{name} =" in script for name in set(re.findall(r'"cellRenderer": "(\w+)"', pages)))
    assert "adminMounted(" in script


def test_each_tab_has_its_address_and_marks_itself() -> None:
    """And an unknown one leads back."""
    for tab in TABS:
        marked = re.findall(r'\{[^{}]*"aria-current": "page"[^{}]*\}', _text(tab))
        assert [re.findall(r'"href": "([^"]+)"', link) for link in marked] == [[f"/admin/{tab}"]]
    assert "There is no page nowhere in admin" in _text("nowhere")


def test_the_page_says_that_its_door_is_open() -> None:
    """Until there is a log-in."""
    assert all("anyone who reaches this page can change" in _text(tab) for tab in TABS)


def test_admin_is_in_the_navigation() -> None:
    """After the others."""
    shell = json.dumps(shell_layout(5.0, "Open", loud=False), default=lambda part: part.to_plotly_json())
    assert re.findall(r'"data-page": "([^"]+)"', shell)[-1] == "/admin"


def test_dash_draws_the_page_without_settings_or_database() -> None:
    """At the start, to check it."""
    assert all(admin.layout(tab) for tab in TABS)


def test_the_settings_table_is_the_settings_object() -> None:
    """Every one, with the reason it has in the code, and its unit."""
    lines = settings_tab.lines(_settings(tariff_per_kwh=0.25))
    assert [line.reason for line in lines] == [str(field.description) for field in Settings.model_fields.values()]
    by_name = {line.variable: line for line in lines}
    tariff = by_name["VOLTLEDGER_TARIFF_PER_KWH"]
    assert (tariff.value, tariff.default, tariff.unit, tariff.changed) == ("0.25", "0.3", "EUR a kWh", True)
    assert (by_name["VOLTLEDGER_BODY_BYTES"].value, by_name["VOLTLEDGER_BODY_BYTES"].unit) == ("5,242,880", "bytes")
    assert by_name["VOLTLEDGER_SILENT_AFTER_S"].unit == "s"
    assert not by_name["VOLTLEDGER_PORT"].changed


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://volt:s3cret@db.example:5432/fleet?sslmode=require", "postgresql://volt@db.example:5432/fleet?…"),
        ("postgresql://volt@db.example/fleet?password=s3cret", "postgresql://volt@db.example/fleet?…"),
        ("postgresql://volt:s3:cret@x@db.example/fleet", "postgresql://volt@db.example/fleet"),
        ("host=db.example password=s3cret", "set, not shown"),
        ("postgresql:///fleet?host=/run/s3cret", "set, not shown"),
        ("postgresql://db.example/fleet", "postgresql://db.example/fleet"),
    ],
)
def test_no_password_of_the_database_is_ever_shown(url: str, shown: str) -> None:
    """However it is written."""
    assert settings_tab.shown("database_url", url) == shown
    page = json.dumps(admin.layout("settings", _settings(DATABASE_URL=url)), default=lambda part: part.to_plotly_json())
    assert "s3" not in page


def test_a_setting_named_as_a_secret_is_never_shown() -> None:
    """Also one that is added later."""
    assert settings_tab.shown("signing_secret", "abc") == settings_tab.HIDDEN
    assert settings_tab.shown("smtp_password", "abc") == settings_tab.HIDDEN


def test_the_templates_have_the_columns_that_are_taken(project: Path) -> None:
    """Those of the API."""
    from api.bulk import mappings, sites

    for name, columns in (("assignments", mappings.COLUMNS), ("sites", sites.COLUMNS)):
        head = (project / "assets" / "templates" / f"{name}.csv").read_text().splitlines()[0]
        assert tuple(head.split(",")) == (*columns.required, *columns.optional)
