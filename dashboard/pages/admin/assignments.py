"""The tab that says which charger feeds which vehicle: the list, one vehicle's past and future, a file of many, and the record of changes."""

from typing import Any

from dash import html

from dashboard.pages.admin import parts

_COLUMNS = [
    parts.column("vehicle", "Vehicle", 200, "AdminNameCell", sort="asc"),
    parts.column("meterId", "Charger now", 150),
    parts.column("sinceMs", "Since", 165, "AdminMomentCell"),
    parts.column("remark", "Remark", 150),
    parts.column("site", "Site", 130),
]


def layout(_: Any = None) -> list[Any]:
    """Without a row; the browser asks /v1/mappings."""
    nothing = "No vehicle is known yet. It appears here with its first reading, or assign one by its id."
    table = parts.grid("admin-assignments", _COLUMNS, nothing)
    record = html.Section(
        [
            html.Div(
                [
                    html.Div([html.H2("Record of changes"), html.Div(id="admin-record-of", className="card-of")], className="grow"),
                    html.Div(id="admin-record-links", className="admin-buttons"),
                ],
                className="card-head",
            ),
            html.Div(id="admin-record"),
        ],
        className="card",
    )
    return [
        parts.picked(
            parts.listed("Assignments", table, parts.button("Assign another", "new")),
            "Pick a vehicle to see its whole timeline, to give it another charger, or to correct its past.",
        ),
        html.Section([parts.from_file("Many at once, from a CSV file", *_FILE_WORDS), record], className="admin-pair"),
    ]


_HOW_A_ROW_HOLDS = (
    " as meter_id ends an assignment. Without from a row holds from now on, or from always where it is the vehicle's first; "
    "without to until the vehicle's next assignment. Instants have an offset, like 2026-02-04T10:00:00Z. All rows are carried out or none."
)
_FILE_WORDS = (
    html.P(["A header and a row for each change: ", html.Code("vehicle_id,meter_id,from,to"), ". ", html.Code("none"), _HOW_A_ROW_HOLDS]),
)
