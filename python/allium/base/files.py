"""How a file is written: beside its place, readable by its owner alone, on the disk, and then all at once.

Whatever ends the writing, an error, Ctrl-C or a crash, leaves the old file or the new one, never a part of one. Root
who works in somebody's directory leaves files there that are theirs. Also: what the message store's files are called.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path

from allium.base import system

#: The message store in a data directory: its tables, its write-ahead log, and what whoever writes it holds a lock on
#: (`docs/on-disk-format.md`).
STORE, STORE_LOG, STORE_LOCK = "data.mdb", ("redo.0", "redo.1"), "store.lock"

#: Of a file that nobody said more about.
PRIVATE = 0o600


def replace(path: Path, content: bytes, mode: int | None = None) -> None:
    """Writes `content` in place of what `path` is, or what a link of that name leads to.

    The file has `mode`; without one, that of the file before it, or else `PRIVATE`. Raises `OSError`.
    """
    path = Path(os.path.realpath(path))
    like = path if path.exists() else path.parent
    if mode is None:
        mode = PRIVATE if like != path else stat.S_IMODE(path.stat().st_mode)
    with _beside(path, content, mode, like) as temporary:
        temporary.replace(path)


def create(path: Path, content: bytes, mode: int = PRIVATE) -> None:
    """Writes a new file; raises `FileExistsError` when something has its name, and `OSError`."""
    with _beside(path, content, mode, path.parent) as temporary:
        place(temporary, path)


def place(made: Path, path: Path) -> None:
    """Gives a file that is whole its name; raises `FileExistsError` when something has it."""
    if os.link in os.supports_follow_symlinks:
        os.link(made, path, follow_symlinks=False)
        made.unlink()
    else:
        # Windows', which replaces nothing.
        made.rename(path)
    sync(path.parent)


@contextlib.contextmanager
def _beside(path: Path, content: bytes, mode: int, like: Path) -> Iterator[Path]:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.new")
    descriptor = _open(temporary, path)
    try:
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                if hasattr(os, "fchmod"):
                    os.fchmod(file.fileno(), mode)
                own(file.fileno(), like)
                os.fsync(file.fileno())
        except OSError as error:
            raise _named(error, path) from None
        yield temporary
        sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _open(temporary: Path, path: Path) -> int:
    try:
        return os.open(temporary, os.O_WRONLY | system.NEW, PRIVATE)
    except OSError as error:
        raise _named(error, path) from None


def _named(error: OSError, path: Path) -> OSError:
    """The error, of the file that was to be written: that one is what a person knows of."""
    return OSError(error.errno, error.strerror, str(path))


def make_directory(path: Path, mode: int = 0o700) -> None:
    """Makes `path` and what is missing of the way to it, for its owner alone; nothing where it is there already."""
    path = path.absolute()
    missing = [place for place in (path, *path.parents) if not place.exists()]
    for part in reversed(missing):
        with contextlib.suppress(FileExistsError):
            part.mkdir(mode=mode)
            own(part, part.parent)
    if not path.is_dir():
        raise NotADirectoryError(20, "not a directory", str(path))


def own(made: Path | int, like: Path) -> None:
    """Gives what root has made, a path or a descriptor, to whom `like` belongs: mostly the directory that it is in."""
    if not system.is_root():
        return
    whose = like.stat()
    # Some file systems know no other owner.
    with contextlib.suppress(PermissionError):
        if isinstance(made, int):
            os.fchown(made, whose.st_uid, whose.st_gid)
        else:
            os.chown(made, whose.st_uid, whose.st_gid, follow_symlinks=False)


def own_all(directory: Path) -> None:
    """Gives what root's programs have left in `directory` to whom that belongs; what has a second name stays."""
    if not system.is_root() or directory.stat().st_uid == 0:
        return
    for parent, directories, names in os.walk(directory):
        for made in (Path(parent, name) for name in (*directories, *names)):
            with contextlib.suppress(FileNotFoundError):
                found = made.lstat()
                if found.st_uid == 0 and (stat.S_ISDIR(found.st_mode) or found.st_nlink == 1):
                    own(made, directory)


def sync(directory: Path) -> None:
    """What was named, or lost its name, in `directory` stays so after a power cut."""
    if not hasattr(os, "O_DIRECTORY"):
        # Windows opens no directory, and writes down by itself what it did with one.
        return
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
