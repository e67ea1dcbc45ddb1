"""Tables of many rows, which the browser fills, sorts and filters."""

from typing import Any

import dash_ag_grid as dag


def column(field: str, title: str, renderer: str | None, width: int, numeric: bool = True, **more: Any) -> dict[str, Any]:
    """A column with its share of the width (px on a desk); units stand in the cells, so headers stay short."""
    cell = {"cellRenderer": renderer} if renderer else {}
    return {
        "field": field,
        "headerName": title,
        "minWidth": round(width * 0.78),
        "flex": width,
        **cell,
        **({"type": "rightAligned"} if numeric else {}),
        **more,
    }


def table(element_id: str, columns: list[dict[str, Any]], what: str, **options: Any) -> dag.AgGrid:
    """Rows are known by `id` and come from the browser; `what` one of them is called. `options` are the grid's own."""
    return dag.AgGrid(
        id=element_id,
        columnDefs=columns,
        rowData=[],
        getRowId="params.data.id",
        defaultColDef={"sortable": True, "resizable": True, "filter": False, "suppressHeaderMenuButton": True, "suppressMovable": True},
        dashGridOptions={
            "rowHeight": 44,
            "headerHeight": 38,
            "animateRows": False,
            # Columns that a phone has no room for stay in the document: a header row without cells is no row to a screen reader.
            "suppressColumnVirtualisation": True,
            "suppressModelUpdateAfterUpdateTransaction": True,
            "suppressCellFocus": False,
            "enableCellTextSelection": True,
            "localeText": {"noRowsToShow": f"No {what} to show", "noMatchingRows": f"No {what} matches the filter"},
            "tooltipShowDelay": 300,
            **options,
        },
        className="ag-theme-quartz table",
        style={"height": None, "width": None},
    )
