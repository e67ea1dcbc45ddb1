"""The page of reports without a browser: what its scripts look for is there, and they speak of what the API knows."""

import json
import re
from pathlib import Path
from typing import Any

from api.params import SitesEnergyQuery, SummariesReportQuery
from dashboard.pages import reports
from tests.support import api


def _scripts(project: Path) -> str:
    return "".join(path.read_text(encoding="utf-8") for path in sorted((project / "assets").glob("8[0-4]-report*.js")))


def _page() -> str:
    return json.dumps(reports.layout(), default=lambda part: part.to_plotly_json(), ensure_ascii=False)


def test_every_element_that_the_scripts_look_for_is_made_by_the_page_or_by_them(project: Path) -> None:
    scripts, page = _scripts(project), _page()
    wanted = set(re.findall(r'byId\("([\w-]+)"\)', scripts))
    fields = {f"report-{name}" for name in re.findall(r'field\("(\w+)"', scripts)} | {"report-bom"}
    made = set(re.findall(r'id: "([\w-]+)"', scripts)) | set(re.findall(r'"id": "([\w-]+)"', page)) | fields
    made |= {f"{name}-hint" for name in fields}
    assert len(wanted) > 15
    assert wanted <= made, wanted - made


def _asked(query: Any) -> set[str]:
    return {field.alias or name for name, field in query.model_fields.items()}


def test_every_parameter_of_the_reports_is_in_the_choice(project: Path) -> None:
    """And nothing that the API does not know, but for what the page is about."""
    (members,) = re.findall(r"const NOTHING = \{(.*?)\};", _scripts(project), re.DOTALL)
    choice = set(re.findall(r"(\w+):", members))
    assert choice - {"report", "window", "last"} == _asked(SummariesReportQuery) >= _asked(SitesEnergyQuery)


def test_the_paths_and_formats_are_the_apis(project: Path, database_url: str) -> None:
    scripts = _scripts(project)
    with api(database_url) as client:
        spec = client.get("/api/openapi.json").get_json()
    assert set(re.findall(r'"(/v1/[\w/]+)"', scripts + _page())) <= spec["paths"].keys()
    given = {one["name"]: one["schema"] for one in spec["paths"]["/v1/reports/summaries"]["get"]["parameters"]}
    assert set(re.findall(r"(\w+): (?:csv|json|parquet)Rows", scripts)) == set(given["format"]["enum"])
