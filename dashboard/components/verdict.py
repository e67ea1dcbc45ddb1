"""What a verdict looks like and means. assets/10-kinds.js says the same in the browser; a test compares."""

from dataclasses import dataclass

from dash import html


@dataclass(frozen=True, slots=True)
class Kind:
    """A verdict as people see it; `low` with severity critical is a kind of its own."""

    label: str
    shape: str
    meaning: str


# Worst first.
KINDS = {
    "critical": Kind("Critically low", "diamond", "Far less energy arrives in the battery than this charging should lose."),
    "low": Kind("Low", "triangle", "Less energy arrives in the battery than this charging should lose."),
    "suspect_measurement": Kind("Suspect measurement", "square", "The two counters contradict each other: look at the measuring first."),
    "charged_elsewhere": Kind("Charged elsewhere", "plus", "The battery took energy that did not come through the assigned meter."),
    "insufficient_data": Kind("Too little evidence", "ring", "Not enough readings or energy to judge."),
    "shared_meter": Kind("Shared meter", "hexagon", "The meter feeds several vehicles at once: the number is the group's."),
    "conditioning": Kind(
        "Conditioning", "pentagon", "The energy went into warming, cooling or topping up, which says nothing about the charger."
    ),
    "unmapped": Kind("No meter", "cross", "No meter is assigned, so there is nothing to compare with."),
    "ok": Kind("As expected", "circle", "The loss is what this charging should lose."),
    "not_charging": Kind("Not charging", "dot", "Neither side moved energy."),
}


def kind_of(verdict: str, severity: str | None) -> str:
    """The key into KINDS."""
    return "critical" if verdict == "low" and severity == "critical" else verdict


def glyph(kind: str) -> html.Span:
    """The kind's shape in its colour."""
    return html.Span(className=f"glyph glyph-{KINDS[kind].shape} kind-{kind}", **{"aria-hidden": "true"})


def badge(verdict: str, severity: str | None) -> html.Span:
    """Shape and words: colour alone is not enough."""
    kind = kind_of(verdict, severity)
    return html.Span([glyph(kind), KINDS[kind].label], className="verdict", title=KINDS[kind].meaning)
