"""What people read: the words of a notice, with names that are up to no good."""

import pytest

from alerting import words
from tests.notice_support import LOW

HOSTILE = [
    "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "Van\r\nBcc: eve@x.example", "Van\nSubject: you won", "a\u2028b\u2029c", "\u202egnp.exe", "\x00\x1b[31mred",
    "@everyone <!channel> @here", "[click](https://evil.example)", "{{7*7}}${7*7}%s%n", "=cmd()", "🚚" * 300, "\ud800", "&amp;<b>", "'\"><svg onload=alert(1)>",
]  # fmt: skip


def _named(name: str, **changes: object) -> dict[str, object]:
    return {
        **LOW,
        "subject": {"kind": "vehicle", "id": "van-7", "name": name},
        "site": {"id": "s", "name": name},
        "reason": name,
        **changes,
    }


def test_a_low_efficiency_is_said_with_numbers_units_window_and_what_to_check() -> None:
    assert words.subject(LOW) == "[critical] Low efficiency: Van 7 (van-7)"
    assert words.text(LOW, "https://volts.example.org/alerts/1").splitlines() == [
        "Low efficiency: Van 7 (van-7).",
        "Severity critical, since 2026-02-04 11:58 UTC.",
        "71.3 % of what was drawn arrived",
        "Efficiency 71.3 % ± 1.1 points; expected 86.7 % to 93.9 %; held against 75.0 %.",
        "10.52 kWh drawn (AC), 7.50 kWh delivered (DC), 3.02 kWh lost.",
        "Window: 2026-02-04 10:58 UTC to 2026-02-04 11:58 UTC.",
        "Of the readings expected in it 100.0 % of the vehicle's and 98.3 % of the meter's are there.",
        "Charger: depot-1.",
        "Site: Depot Berlin",
        "Check the cable and its plugs, the on-board charger, and whether the vehicle is assigned to the charger it stands at.",
        "",
        "https://volts.example.org/alerts/1",
    ]


RULES = {
    "device_silent": (
        {"silentS": 5400.0, "rhythmS": 60, "lastReceivedAt": "2026-02-04T10:28:00Z"},
        ["Silent for 90 min; it usually reports every 60 s.", "Last heard of: 2026-02-04 10:28 UTC."],
    ),
    "battery_hot": (
        {"batteryTempC": 56.25, "limitC": 55, "recordedAt": "2026-02-04T10:28:00Z"},
        ["Battery at 56.2 °C; the limit is 55.0 °C."],
    ),
    "site_dark": (
        {"devices": 40, "silent": 12, "share": 0.3, "since": "2026-02-04T10:28:00Z", "examples": ["a", "b"]},
        ["12 of 40 devices (30.0 %) fell silent.", "Among them: a, b."],
    ),
    "suspect_measurement": ({"acKwh": 5, "dcKwh": 6.0}, ["5.00 kWh drawn (AC), 6.00 kWh delivered (DC)."]),
}


@pytest.mark.parametrize("rule", RULES)
def test_each_rule_tells_its_own_facts(rule: str) -> None:
    evidence, lines = RULES[rule]
    said = words.text({**LOW, "rule": rule, "evidence": evidence}).splitlines()
    assert [line for line in lines if line not in said] == []
    assert said[-1].startswith(("Check", "Let"))


@pytest.mark.parametrize("rule", [*words.RULES, "unheard_of", None])
@pytest.mark.parametrize(
    "evidence", [{}, None, {"efficiencyRatio": None, "acKwh": "x", "coverage": None, "expected": None, "silentS": float("nan")}]
)
@pytest.mark.parametrize("kind", ["firing", "escalated", "resolved", "flapping"])
def test_missing_or_odd_evidence_is_left_out(rule: str | None, evidence: object, kind: str) -> None:
    body = {"kind": kind, "rule": rule, "subject": {"kind": "vehicle", "id": "van-7", "name": None}, "evidence": evidence}
    assert "van-7" in words.text(body)
    assert "nan" not in words.text(body)
    assert words.subject(body)


def test_everything_dark_is_called_by_its_name() -> None:
    body = {**LOW, "rule": "site_dark", "subject": {"kind": "ingestion", "id": "ingestion", "name": None}, "evidence": {}}
    assert words.subject(body) == "[critical] All readings stopped"
    assert "All other alerts are held back" in words.text(body)


def test_each_step_says_which_it_is() -> None:
    over = {**LOW, "kind": "resolved", "resolvedAt": "2026-02-04T13:00:00Z", "because": "recovered"}
    assert words.subject(over) == "[resolved] Low efficiency: Van 7 (van-7)"
    assert "Over since 2026-02-04 13:00 UTC (recovered); it began 2026-02-04 11:58 UTC." in words.text(over)
    assert words.subject({**LOW, "kind": "escalated"}).startswith("[now critical]")
    assert "several times" in words.text({**LOW, "kind": "flapping"})


@pytest.mark.parametrize("name", HOSTILE)
def test_v11_a_hostile_name_is_one_harmless_line_everywhere(name: str) -> None:
    plain, rich = words.text(_named(name)), words.html(_named(name), "https://volts.example.org/a?b=1&c=2")
    assert len(plain.splitlines()) == len(words.text(_named("Van")).splitlines())
    assert len(words.subject(_named(name))) <= words.MOST_LINE
    assert not any(sign in plain.replace("\n", "") for sign in "\r\x00\x1b\u202e\u2028\ud800")
    assert "<script" not in rich
    assert "<img" not in rich
    assert "<svg" not in rich
    chat = words.without_markup(plain)
    assert not any(sign in chat for sign in ("@everyone", "@here", "<", ">", "](", "`"))
    plain.encode()


def test_html_links_to_web_addresses_only() -> None:
    assert "href" not in words.html(LOW, "javascript:alert(1)")
    assert 'href="https://x.example/?a=1&amp;b=&quot;"' in words.html(LOW, 'https://x.example/?a=1&b="')
