"""The boundary between the program's errors and people: whatever was raised becomes one sentence and an exit code."""

from __future__ import annotations

import errno
import os
import re
import stat
from pathlib import Path
from typing import NamedTuple

from allium.base.urls import redacted
from allium.errors import EXIT_CONFIG, EXIT_FAILED, Complaint, SetupError

#: Characters of the text of an error that nobody foresaw.
_LONGEST = 300
#: What the system has run out of, by the error it gives. `None`: a process cannot say more than the system does.
_LIMITS = {
    errno.EMFILE: "this process has too many open files; raise its limit (ulimit -n, or LimitNOFILE= in the unit)",
    errno.ENFILE: "the system has too many open files; raise fs.file-max",
    errno.ENOMEM: "the memory that this process may have is used up (ulimit -v, or MemoryMax= and LimitAS= in the "
    "unit); raise the limit, or free memory",
    errno.EAGAIN: "no more threads or processes may be started (ulimit -u, or TasksMax= and LimitNPROC= in the unit); "
    "raise the limit",
}
#: What an address that is to be listened on was refused for.
_LISTENING = {
    errno.EADDRINUSE: "Address already in use; end the program that has it (ss -lptun), or set another port",
    errno.EADDRNOTAVAIL: "this machine has no such address; set bind_ip to one that it has (ip address), or to 0.0.0.0",
}
_FULL = {
    errno.ENOSPC: "the disk is full; free some of it and try again",
    errno.EDQUOT: "the quota of the disk is used up; free some of it and try again",
    errno.EFBIG: "the file would be larger than may be (ulimit -f, or LimitFSIZE= in the unit); raise the limit",
    errno.EROFS: "the file system is read-only; choose another place, or mount it for writing",
}
#: What is said of others, in place of the system's words.
_MEANINGS = {
    errno.ENOENT: "there is nothing of that name",
    errno.EISDIR: "it is a directory; name the file",
    errno.ENOTDIR: "it is a file, or lies below one; name a directory",
    errno.ELOOP: "it is a link that leads back to itself; remove it, or name where it should lead",
    errno.EIO: "the disk fails (Input/output error); see the system's log (dmesg), and replace it",
    errno.ESTALE: "it is on another machine that has lost it; mount that file system again",
}
_OS_ERROR = re.compile(r"[^:()]*\(os error ([0-9]+)\)")


class Sentence(NamedTuple):
    """What a person is told, and the exit code of whoever tells it."""

    text: str
    exit_code: int


def sentence(error: BaseException) -> Sentence:
    """What `error` means to the person who runs the program. Of a URL it shows no more than the place."""
    text, code = _sentence(error)
    return Sentence(redacted(text), code)


def _sentence(error: BaseException) -> Sentence:
    match error:
        case Complaint():
            return Sentence(str(error), error.exit_code)
        case BaseExceptionGroup():
            return _sentence(error.exceptions[0])
        case OSError():
            return _system(error)
        case MemoryError():
            return Sentence(_LIMITS[errno.ENOMEM], EXIT_FAILED)
        case UnicodeError():
            return Sentence(f"text that is not UTF-8 cannot be used: {_short(error)}", EXIT_FAILED)
        case ModuleNotFoundError(name=str(name)) if name.partition(".")[0] != "allium":
            text = f"the allium command needs {name}, which is not installed; run: pip install 'allium[node]'"
            return Sentence(text, EXIT_CONFIG)
        case RuntimeError() if "home directory" in str(error):
            return Sentence("there is no home directory; set HOME, or write the path in full", EXIT_CONFIG)
    text = f"{type(error).__name__}: {_short(error)}" if str(error) else type(error).__name__
    return Sentence(
        f"this failed in a way that nobody foresaw ({text}); `allium --debug …`, or log_level debug, shows where: "
        "please report that",
        EXIT_FAILED,
    )


def in_directory(error: BaseException, directory: Path) -> Sentence:
    """As `sentence`, for what the engine could not do in `directory`: its errors do not say whose file it was."""
    if isinstance(error, OSError) and "denied" in str(error) and (place := barred(directory)):
        return Sentence(denied(place, directory), EXIT_CONFIG)
    text, code = sentence(error)
    text = text.removeprefix("database: ")
    if text.startswith("there is no message store in "):
        text += "; name the data directory of a node that has run"
    return Sentence(text, code)


def expanded(path: Path) -> Path:
    """`path` with its `~` replaced; raises `SetupError` where nobody knows by what."""
    try:
        return path.expanduser()
    except RuntimeError:
        raise SetupError(
            f"{path}: there is no such user, or HOME is not set, so that ~ means nothing; write the path in full"
        ) from None


def _system(error: OSError) -> Sentence:
    path = error.filename if isinstance(error.filename, str | bytes | os.PathLike) else None
    place = "" if path is None else f"{os.fsdecode(path)}: "
    if isinstance(error, PermissionError):
        return Sentence(denied(Path(os.fsdecode(path))) if path is not None else str(error), EXIT_CONFIG)
    if error.errno in _FULL:
        return Sentence(place + _FULL[error.errno], EXIT_FAILED)
    if error.errno in _LIMITS:
        return Sentence(place + _LIMITS[error.errno], EXIT_FAILED)
    if isinstance(error, FileNotFoundError) and path is None:
        try:
            Path.cwd()
        except FileNotFoundError:
            return Sentence("the directory that this runs in was deleted; change to another one", EXIT_FAILED)
    text = _MEANINGS.get(error.errno or 0) or error.strerror or _short(error)
    if error.errno is None and (found := _OS_ERROR.search(text)):
        # The engine's errors have the system's number in their text.
        number = int(found[1])
        meaning = (_LIMITS | _FULL | _LISTENING | _MEANINGS).get(number) or os.strerror(number)
        text = text.replace(found[0], f" {meaning}").strip()
    return Sentence(place + text, EXIT_FAILED)


def denied(path: Path, ours: Path | None = None) -> str:
    """Why `path`, which may not be there yet, is kept from us: whose it is, or the directory on the way to it.

    All in the directory `ours` should be ours; without one, what is in a directory of our own.
    """
    path = path.absolute()
    way = [place for place in (*reversed(path.parents), path) if os.path.lexists(place)]
    for place in way:
        wanted = os.R_OK | os.W_OK if place == path else os.W_OK | os.X_OK if place == way[-1] else os.X_OK
        if not _may(place, wanted):
            return _belongs(place, ours)
    if path in way and not _may(path.parent, os.W_OK):
        # It is there, and was to be made anew.
        return _belongs(path.parent, ours)
    return f"{path}: permission denied"


def _may(place: Path, wanted: int) -> bool:
    return os.access(place, wanted, effective_ids=os.access in os.supports_effective_ids)


def _belongs(place: Path, ours: Path | None) -> str:
    if not hasattr(os, "geteuid"):
        return f"{place}: permission denied"
    status, me = place.stat(), name(os.geteuid())
    mode = f"{stat.S_IMODE(status.st_mode):03o}"
    if status.st_uid == os.geteuid():
        return f"{place} has mode {mode}, which keeps its owner out; run: chmod u+rwX {place}"
    if ours is None and place.parent.stat().st_uid == os.geteuid():
        # Somebody else has worked here: this is hardly the only file.
        ours = place if stat.S_ISDIR(status.st_mode) else place.parent
    whose = name(status.st_uid)
    remedy = f"run it as {whose}"
    if ours is not None:
        remedy = f"run as root: chown -R {me}: {ours}"
    elif stat.S_ISREG(status.st_mode):
        remedy += f", or as root: chown {me}: {place}"
    return f"{place} belongs to {whose} (mode {mode}), and this runs as {me}; {remedy}"


def barred(directory: Path) -> Path | None:
    """The first thing in `directory` that we may not read and write; `None` when there is none."""
    try:
        inside = sorted(directory.iterdir())
    except OSError:
        return directory
    for place in (directory, *inside):
        if not place.is_symlink() and not _may(place, os.R_OK | os.W_OK):
            return place
    return None


def name(uid: int) -> str:
    """Of a user; the number where the system knows no name."""
    # Windows has none.
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _short(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"
