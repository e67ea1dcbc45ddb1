"""What several tabs are made of: a searchable list, a place for a form, a file that is tried before it is carried out."""

from typing import Any

import dash_ag_grid as dag
from dash import html


def grid(element_id: str, columns: list[dict[str, Any]], nothing: str) -> dag.AgGrid:
    """A list that the browser fills; rows are known by `key`. `nothing`: what it says while it is empty."""
    return dag.AgGrid(
        id=element_id,
        columnDefs=columns,
        rowData=[],
        getRowId="params.data.key",
        defaultColDef={"sortable": True, "resizable": True, "filter": False, "suppressHeaderMenuButton": True, "suppressMovable": True},
        dashGridOptions={
            "rowSelection": {"mode": "singleRow", "checkboxes": False, "enableClickSelection": True},
            "rowHeight": 40,
            "headerHeight": 38,
            "animateRows": False,
            "suppressColumnVirtualisation": True,  # as in components/table.py
            "localeText": {"noRowsToShow": nothing, "noMatchingRows": "Nothing matches the search"},
            "tooltipShowDelay": 300,
        },
        className="ag-theme-quartz table admin-table",
        style={"height": None, "width": None},
    )


def column(field: str, title: str, width: int, renderer: str = "", **more: Any) -> dict[str, Any]:
    """A column with its share of the width (px on a desk)."""
    cell = {"cellRenderer": renderer} if renderer else {"tooltipField": field}
    return {"field": field, "headerName": title, "minWidth": round(width * 0.72), "flex": width, **cell, **more}


def number(field: str, title: str, width: int) -> dict[str, Any]:
    """A column of numbers; the unit stands in the title."""
    return column(field, title, width, type="rightAligned")


def picked(body: Any, words: str) -> html.Section:
    """A list with the form of what was picked in it. `words`: what to do while nothing is."""
    detail = html.Section(
        [html.P(words, className="card-empty", id="admin-detail-empty"), html.Div(id="admin-detail")],
        className="card admin-detail",
        **{"aria-label": "What was picked"},
    )
    return html.Section([body, detail], className="admin-main")


def listed(title: str, table: Any, *buttons: Any) -> html.Section:
    """The list's card: search, filters, count, export."""
    export = html.Button("Export rows", type="button", className="button is-plain", **{"data-admin": "export"})
    return html.Section(
        [
            html.Div(
                [html.H2([title, " ", html.Span(id="admin-count", className="count", role="status")]), *buttons, export],
                className="card-head",
            ),
            html.Div(id="admin-filter", className="admin-filter", role="search"),
            table,
        ],
        className="card list",
    )


def button(words: str, action: str) -> html.Button:
    """A button that the browser knows by its action."""
    return html.Button(words, type="button", className="button", **{"data-admin": action})


def from_file(title: str, *words: Any) -> html.Section:
    """Many at once: the browser puts the file's controls, the preview and what is wrong into it."""
    return html.Section(
        [
            html.Div(html.H2(title), className="card-head"),
            html.Div(list(words), className="admin-words"),
            html.Div(id="admin-file"),
        ],
        className="card",
    )
