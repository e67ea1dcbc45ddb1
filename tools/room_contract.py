"""The import contracts: a room may import what its row names, itself and the standard library, and no more.

Unlike import-linter's own contracts this one also covers libraries, and a library nobody named is refused instead of let through.
"""

import sys
from collections.abc import Iterable, Iterator
from typing import cast

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output


class RoomContract(Contract):
    """`room`: a package. `may_import`: rooms or libraries. `roots`, where the room meets the settings, may also import `roots_may_import`."""

    type_name = "room"

    room = fields.StringField()
    may_import = fields.SetField(subfield=fields.StringField(), required=False)
    roots = fields.SetField(subfield=fields.StringField(), required=False)
    roots_may_import = fields.SetField(subfield=fields.StringField(), required=False)

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:  # noqa: ARG002 - import-linter's signature
        """Kept when no module of the room imports something that is not named."""
        room = cast("str", self.room)
        named, roots, more = (_names(each) for each in (self.may_import, self.roots, self.roots_may_import))
        wrong = [
            (importer, imported)
            for importer, imported in _imports_of(graph, room)
            if not _allowed(imported, {room, *named, *(more if importer in roots else ())})
        ]
        return ContractCheck(kept=not wrong, metadata={"wrong": wrong})

    def render_broken_contract(self, check: ContractCheck) -> None:
        """Says each wrong import on a line."""
        for importer, imported in check.metadata["wrong"]:
            output.print_error(f"{importer} may not import {imported}")


def _names(field: object) -> set[str]:
    """The value of a set field, which import-linter's types do not tell."""
    return set(cast("Iterable[str] | None", field) or ())


def _imports_of(graph: ImportGraph, room: str) -> Iterator[tuple[str, str]]:
    for importer in sorted({room, *graph.find_descendants(room)}):
        for imported in sorted(graph.find_modules_directly_imported_by(importer)):
            yield importer, imported


def _allowed(imported: str, names: set[str]) -> bool:
    standard = imported.partition(".")[0] in sys.stdlib_module_names
    return standard or any(f"{imported}.".startswith(f"{name}.") for name in names)
