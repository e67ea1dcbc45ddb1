"""deploy/prometheus and deploy/grafana speak of metrics that there are, and every rule has its entry in the runbook."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

PROJECT = Path(__file__).parent.parent
RULES = PROJECT / "deploy" / "prometheus" / "alerts.yml"
DASHBOARD = PROJECT / "deploy" / "grafana" / "voltledger.json"
# Those that Prometheus adds itself.
OF_PROMETHEUS = {"job", "instance", "le"}
PARTS = ("**What it means.**", "**How to see.**", "**What to do.**", "**Over when**")


def metrics() -> dict[str, set[str]]:
    """Labels of every sample by name, from the table in docs/metrics.md, which another test compares with what is exported."""
    rows = re.findall(r"^\| `([a-z_]+)` \| (\w+) \| (.*?) \| .+ \|$", (PROJECT / "docs" / "metrics.md").read_text(), re.MULTILINE)
    found: dict[str, set[str]] = {"up": set()}
    for name, kind, labels in rows:
        for suffix in ("_bucket", "_count", "_sum") if kind == "histogram" else ("",):
            found[name + suffix] = set(re.findall(r"`(\w+)`", labels))
    return found


def rules() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load(RULES.read_text())["groups"]
    return list(group["rules"])


def panels() -> list[dict[str, Any]]:
    return [panel for panel in json.loads(DASHBOARD.read_text())["panels"] if panel["type"] != "row"]


def expressions() -> list[str]:
    """All of the dashboard's."""
    return [target["expr"] for panel in panels() for target in panel["targets"]]


def unknown(expression: str) -> set[str]:
    """What an expression asks for and is not there: names of metrics, and labels of each."""
    known, wrong = metrics(), set[str]()
    for name, selector in re.findall(r"\b((?:voltledger|process)_[a-z_]+|up)\b(?:\{([^}]*)\})?", expression):
        if name not in known:
            wrong.add(name)
            continue
        wrong |= {
            f"{name}.{label}" for label in re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", selector) if label not in known[name] | OF_PROMETHEUS
        }
    everyones = set[str]().union(*known.values()) | OF_PROMETHEUS
    for names in re.findall(r"\bby \(([^)]*)\)", expression):
        wrong |= {name.strip() for name in names.split(",")} - everyones
    return wrong


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ("sum(rate(voltledger_readings_total[5m]))", set()),
        ("voltledger_reading_total", {"voltledger_reading_total"}),
        ('voltledger_readings_total{code="x"}', {"voltledger_readings_total.code"}),
        ("sum by (vehicle) (voltledger_ready)", {"vehicle"}),
        ("voltledger_commit_seconds", {"voltledger_commit_seconds"}),
    ],
)
def test_an_unknown_metric_or_label_is_noticed(expression: str, found: set[str]) -> None:
    assert unknown(expression) == found


def test_the_dashboards_expressions_ask_for_what_there_is() -> None:
    assert len(expressions()) > 40
    assert {expression: wrong for expression in expressions() if (wrong := unknown(expression))} == {}


def test_the_rules_ask_for_what_there_is() -> None:
    assert {rule["alert"]: wrong for rule in rules() if (wrong := unknown(rule["expr"]))} == {}


def test_the_dashboards_top_row_answers_the_four_questions() -> None:
    """And every panel takes its data from whatever Prometheus is chosen."""
    dashboard = json.loads(DASHBOARD.read_text())
    assert [panel["title"] for panel in panels()[:4]] == ["Taken in?", "Stored?", "Judged?", "Told?"]
    assert {variable["name"] for variable in dashboard["templating"]["list"]} == {"datasource", "job", "instance"}
    assert {panel["datasource"]["uid"] for panel in panels()} == {"${datasource}"}
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(ids) == len(set(ids))


def test_no_two_panels_lie_upon_each_other() -> None:
    taken = set[tuple[int, int]]()
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells


def test_every_rule_has_an_entry_in_the_runbook_and_every_entry_a_rule() -> None:
    """With what it means for people, how to see, what to do, and how to know that it is over; the rule points to it."""
    entries = re.split(r"^## ", (PROJECT / "docs" / "runbook.md").read_text(), flags=re.MULTILINE)[1:]
    by_name = {entry.partition("\n")[0]: entry for entry in entries}
    assert [rule["alert"] for rule in rules()] == list(by_name)
    for rule in rules():
        assert rule["annotations"]["runbook_url"] == f"docs/runbook.md#{rule['alert'].lower()}"
        assert rule["labels"]["severity"] in ("warning", "critical")
        entry = by_name[rule["alert"]]
        assert rule["annotations"]["summary"] in entry
        assert [part for part in PARTS if len(entry.partition(part)[2].partition("\n")[0]) < 15] == []


def test_what_the_runbook_asks_for_is_there() -> None:
    text = (PROJECT / "docs" / "runbook.md").read_text()
    assert {name for name in re.findall(r"voltledger_[a-z_]+", text) if name not in metrics()} == set()
    for page in re.findall(r"docs/[a-z]+\.md", text):
        assert (PROJECT / page).exists()


def test_every_rule_is_tried_both_ways() -> None:
    """Once where it stays quiet and once where it speaks."""
    tried: dict[str, set[bool]] = {}
    for test in yaml.safe_load((RULES.parent / "alerts.test.yml").read_text())["tests"]:
        for one in test["promql_expr_test"]:
            tried.setdefault(re.findall(r'alertname="(\w+)"', one["expr"])[0], set()).add(bool(one["exp_samples"]))
    assert tried == {rule["alert"]: {True, False} for rule in rules()}


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed: tools/setup-promtool.sh says why")
@pytest.mark.parametrize(
    "arguments", [("check", "rules", "alerts.yml"), ("test", "rules", "alerts.test.yml"), ("check", "config", "prometheus.yml")]
)
def test_promtool_agrees(arguments: tuple[str, ...]) -> None:
    said = subprocess.run(["promtool", *arguments], cwd=RULES.parent, capture_output=True, text=True, check=False, timeout=120)
    assert said.returncode == 0, said.stdout + said.stderr


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed: tools/setup-promtool.sh says why")
def test_promtool_can_read_what_the_dashboard_asks(tmp_path: Path) -> None:
    """As rules, since it reads no dashboards."""
    filled = [
        re.sub(r"\$__rate_interval", "5m", expression).replace("$job", "j").replace("$instance", ".*") for expression in expressions()
    ]
    made = [{"record": f"asked:{n}", "expr": expression} for n, expression in enumerate(filled)]
    (tmp_path / "asked.yml").write_text(yaml.safe_dump({"groups": [{"name": "asked", "rules": made}]}))
    said = subprocess.run(
        ["promtool", "check", "rules", "asked.yml"], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120
    )
    assert said.returncode == 0, said.stdout + said.stderr
