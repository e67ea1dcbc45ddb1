"""S17: the audit never says that all is well when it did not come to look."""

import subprocess
from pathlib import Path

import pytest

ANSWERS = [
    ("No known vulnerabilities found", 0, 0, "no known vulnerability"),
    ("Found 2 known vulnerabilities in 1 package", 1, 1, ""),
    ("zipp  Dependency not found on PyPI and could not be audited: zipp (4.1.2)", 0, 3, "NOT DONE"),
    ("ERROR:pip_audit:ConnectionError: Name or service not known", 1, 3, "NOT DONE"),
]


@pytest.mark.parametrize(("says", "ends", "code", "line"), ANSWERS)
def test_s17_the_audit_tells_clean_found_and_not_looked_apart(
    project: Path, tmp_path: Path, says: str, ends: int, code: int, line: str
) -> None:
    """A stand-in says what pip-audit says in each case."""
    tool = tmp_path / "bin" / "pip-audit"
    tool.parent.mkdir()
    tool.write_text(f"#!/bin/sh\necho '{says}'\nexit {ends}\n")
    tool.chmod(0o755)
    environment = {"AUDIT_TOOLS": str(tmp_path), "PATH": "/usr/bin:/bin"}
    got = subprocess.run([project / "tools" / "audit.sh"], env=environment, capture_output=True, text=True, check=False)
    assert got.returncode == code
    assert line in got.stdout + got.stderr


def test_s17_every_locked_package_has_a_hash(project: Path) -> None:
    for lock in ("requirements.txt", "requirements-dev.txt"):
        text = (project / lock).read_text().replace("\\\n", " ")
        packages = [row for row in text.splitlines() if row and not row.startswith((" ", "#"))]
        assert len(packages) > 40
        assert [row for row in packages if "--hash=sha256:" not in row] == []
