"""What the documents claim is what the code says."""

import re
from pathlib import Path

from config import Settings


def test_the_readmes_settings_table_is_the_settings_object(project: Path) -> None:
    table = re.findall(r"^\| `([A-Z0-9_]+)` \| (.*?) \| (.*) \|$", (project / "README.md").read_text(), re.MULTILINE)
    assert table == [row(name) for name in Settings.model_fields]


def row(name: str) -> tuple[str, str, str]:
    """A setting's line: its name in the environment, its default, its description."""
    field = Settings.model_fields[name]
    variable = field.validation_alias if isinstance(field.validation_alias, str) else f"VOLTLEDGER_{name.upper()}"
    default = "" if field.default is None else f"`{field.default}`"
    return variable, default, str(field.description)


def test_every_decision_is_a_page_with_its_reason(project: Path) -> None:
    pages = sorted((project / "docs" / "decisions").glob("*.md"))
    assert len(pages) >= 8
    for page in pages:
        assert all(word in page.read_text() for word in ("**Decided:**", "**Why:**", "**Consequences:**")), page.name
