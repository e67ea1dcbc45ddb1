"""A backup as files: what a folder holds, how a file of it is written and read, and how a broken one is told from a whole one.

    folder/manifest.json        what the whole backup consists of; replaced in one step when a backup is complete
    folder/unfinished.json      the same of a backup that is under way or was interrupted: the next goes on from it, nobody restores it
    folder/pieces/NAME.copy.gz  rows of one table, or of one day of it, as PostgreSQL's COPY writes them; the name holds a checksum

A piece is never written again under its name, and those of a complete backup are only removed when the next one is complete.
"""

import fcntl
import hashlib
import json
import os
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

FORMAT = 1
_PRIVATE_FILE, _PRIVATE_FOLDER = 0o600, 0o700
# The fastest there is: a day is written as fast as it is read, at four times less than its size.
_COMPRESSION = 1
_BLOCK_BYTES = 1_048_576
_GZIP = 31  # zlib's word for gzip's header and checksum


class BadBackup(Exception):
    """There is no backup that can be used; the message says why, for people."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Rows of one table: which, in which columns and order, how many, and the checksums of the file and of what it unpacks to.

    `day` is null for whole tables. `slices`: in how many statements a day was read. `state` tells whether the rows are still the same.
    """

    table: str
    day: str | None
    columns: tuple[str, ...]
    slices: int
    rows: int
    state: int
    file: str
    file_bytes: int
    file_sha256: str
    content_sha256: str

    @property
    def name(self) -> str:
        return f"{self.table} {self.day}" if self.day else self.table


@dataclass(frozen=True, slots=True)
class Manifest:
    """`began_at`: every reading that was answered before this instant is in it. `database` tells databases apart."""

    began_at: str
    finished_at: str
    database: str
    schema: str
    pieces: tuple[Piece, ...] = field(default=())

    def of(self, table: str) -> list[Piece]:
        """The pieces of a table, in the order of their days."""
        return sorted((piece for piece in self.pieces if piece.table == table), key=lambda piece: piece.day or "")


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Make the folder, private, and hold it. Raises BadBackup while another process writes to it."""
    (folder / "pieces").mkdir(mode=_PRIVATE_FOLDER, parents=True, exist_ok=True)
    folder.chmod(_PRIVATE_FOLDER)
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _PRIVATE_FILE)
    try:
        with suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
            return
        raise BadBackup(f"another process writes a backup into {folder}")
    finally:
        os.close(lock)


# ------------------------------------------------------------------------------------------------------------------- the manifest


def write_manifest(folder: Path, manifest: Manifest, *, finished: bool) -> None:
    """Put the manifest in its place in one step; everything it names is on disk before."""
    body = asdict(manifest)
    text = json.dumps({"format": FORMAT, "sha256": _of_body(body), "backup": body}, indent=1)
    _replace(folder / ("manifest.json" if finished else "unfinished.json"), text.encode())
    if finished:
        (folder / "unfinished.json").unlink(missing_ok=True)
        _sync_folder(folder)
        _remove_others(folder, {piece.file for piece in manifest.pieces})


def read_manifest(folder: Path, *, unfinished: bool = False) -> Manifest:
    """The backup that the folder holds. Raises BadBackup: none, an interrupted one, a damaged one, or one of another format."""
    path = folder / ("unfinished.json" if unfinished else "manifest.json")
    try:
        found = json.loads(path.read_bytes())
        if found["format"] != FORMAT:
            raise BadBackup(f"{path} is of format {found['format']}, this version reads format {FORMAT}: take the version that made it")
        if found["sha256"] != _of_body(found["backup"]):
            raise BadBackup(f"{path} was changed or is damaged: its checksum does not fit")
        body = found["backup"]
        pieces = tuple(Piece(**{**piece, "columns": tuple(piece["columns"])}) for piece in body.pop("pieces"))
        return Manifest(**body, pieces=pieces)
    except FileNotFoundError:
        begun = "; one was begun and not finished" if (folder / "unfinished.json").exists() else ""
        raise BadBackup(f"{folder} holds no complete backup{begun}") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise BadBackup(f"{path} cannot be read: it is damaged, or not a manifest") from None


def _of_body(body: object) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _replace(path: Path, content: bytes) -> None:
    new = path.with_suffix(".new")
    with _created(new) as file:
        os.write(file, content)
        os.fsync(file)
    new.rename(path)
    _sync_folder(path.parent)


def _remove_others(folder: Path, kept: set[str]) -> None:
    for path in (folder / "pieces").iterdir():
        if path.name not in kept:
            path.unlink()


# -------------------------------------------------------------------------------------------------------------------- the pieces


@dataclass(slots=True)
class Digest:
    """What went through: a checksum and, as every row of COPY's text ends with the only line feed in it, the rows."""

    sha256: "hashlib._Hash" = field(default_factory=hashlib.sha256)
    rows: int = 0

    def add(self, data: bytes | bytearray | memoryview) -> None:
        self.sha256.update(data)
        self.rows += bytes(data).count(b"\n")


def write_piece(folder: Path, table: str, day: str | None, blocks: Iterable[bytes | bytearray | memoryview], facts: "PieceFacts") -> Piece:
    """Write a table's rows, as COPY gives them, to a file of their own."""
    content, packed, size = Digest(), hashlib.sha256(), 0
    packer = zlib.compressobj(_COMPRESSION, wbits=_GZIP)
    new = folder / "pieces" / "unfinished.new"
    with _created(new) as file:

        def out(data: bytes) -> int:
            packed.update(data)
            return _write_all(file, data)

        for block in _gathered(blocks):
            content.add(block)
            size += out(packer.compress(block))
        size += out(packer.flush())
        os.fsync(file)
    checksum = packed.hexdigest()
    name = f"{table}{f'-{day}' if day else ''}-{checksum[:16]}.copy.gz"
    new.rename(new.with_name(name))
    _sync_folder(new.parent)
    state = content.rows if facts.state is None else facts.state
    return Piece(table, day, facts.columns, facts.slices, content.rows, state, name, size, checksum, content.sha256.hexdigest())


@dataclass(frozen=True, slots=True)
class PieceFacts:
    """What a piece says of itself besides its rows; `state` is the number of its rows if not given."""

    columns: tuple[str, ...]
    slices: int = 1
    state: int | None = None


def is_whole(folder: Path, piece: Piece) -> bool:
    """Whether the piece's file is there and has the size and the checksum that the manifest says."""
    path = folder / "pieces" / piece.file
    digest = hashlib.sha256()
    with suppress(OSError), path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest() == piece.file_sha256


def is_there(folder: Path, piece: Piece) -> bool:
    """The same without reading it."""
    with suppress(OSError):
        return (folder / "pieces" / piece.file).stat().st_size == piece.file_bytes
    return False


def read_piece(folder: Path, piece: Piece) -> Iterator[bytes]:
    """The piece's rows for COPY, in blocks. Raises BadBackup, at the latest after the last block, where they are not what was written."""
    content, unpacker = Digest(), zlib.decompressobj(wbits=_GZIP)
    try:
        with (folder / "pieces" / piece.file).open("rb") as file:
            while block := file.read(_BLOCK_BYTES):
                rows = unpacker.decompress(block)
                content.add(rows)
                yield rows
    except (OSError, zlib.error):
        raise BadBackup(f"{piece.name}: {piece.file} cannot be read") from None
    if not unpacker.eof or content.sha256.hexdigest() != piece.content_sha256:
        raise BadBackup(f"{piece.name}: {piece.file} is not what was written")


def damaged(folder: Path, manifest: Manifest) -> list[Piece]:
    """Read every file of the backup; those that are missing or are not what was written."""
    return [piece for piece in manifest.pieces if not is_whole(folder, piece)]


def _gathered(blocks: Iterable[bytes | bytearray | memoryview]) -> Iterator[bytes]:
    """COPY gives a row at a time: a call for each would take longer than all the rest."""
    waiting: list[bytes | bytearray | memoryview] = []
    size = 0
    for block in blocks:
        waiting.append(block)
        size += len(block)
        if size >= _BLOCK_BYTES:
            yield b"".join(waiting)
            waiting, size = [], 0
    if waiting:
        yield b"".join(waiting)


@contextmanager
def _created(path: Path) -> Iterator[int]:
    """An empty file that only its owner may read."""
    path.unlink(missing_ok=True)
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _PRIVATE_FILE)
    try:
        yield file
    finally:
        os.close(file)


def _write_all(file: int, data: bytes) -> int:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(file, rest) :]
    return len(data)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
