"""Checks of the machine: key files, the store, the disk, limits, the processor."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import stat
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from allium.base import complaint, limits
from allium.base.files import STORE, STORE_LOCK, STORE_LOG
from allium.base.pidfile import PID_FILE
from allium.operate.result import Result, failed, ok, refused, warning
from allium.settings import keys as key_files
from allium.settings.config import NodeConfig
from allium.settings.keys import KeyFileError

#: With less, a few hundred clients are too many.
_FEWEST_FILES = 1024

#: A store waits for one fdatasync; milliseconds.
_SLOW_DISK, _TOO_SLOW_DISK = 10.0, 100.0
_WRITES, _WRITE_BYTES, _WRITE_SECONDS = 64, 4096, 2.0
_LITTLE_DISK = 256 << 20

_PASSING = ("tmpfs", "ramfs")
_REMOTE = ("nfs", "cifs", "smb", "fuse", "9p", "virtiofs", "ceph", "glusterfs", "vboxsf")

#: What the process that serves a data directory has to read, and mostly to write.
_OWN_FILES = (
    *(key_files.ED25519_FILE, key_files.LEGACY_FILE, key_files.BLS_FILE),
    *(PID_FILE, STORE, *STORE_LOG, STORE_LOCK, "lock.mdb", "cert.pem", "key.pem", "session-tickets.key"),
)

#: Flags of /proc/cpuinfo that make onion layers cheap.
_AES = {"aes", "asimd"}


def is_locked(directory: Path) -> bool:
    """Whether a process has the store open. Looked up: to try the lock would refuse it to a node that starts now."""
    try:
        inode = (directory / STORE_LOCK).stat().st_ino
        locks = Path("/proc/locks").read_text().splitlines()
    except OSError:
        return False
    # "1: FLOCK  ADVISORY  WRITE 4711 fe:01:1234 0 EOF"
    return any(fields[1] == "FLOCK" and fields[5].endswith(f":{inode}") for fields in map(str.split, locks))


def keys(config: NodeConfig) -> Iterator[Result]:
    """The key files: there, whole, and nobody else's business."""
    directory = config.data_dir
    if config.oxend_rpc is None:
        yield _loaded("keys", lambda: key_files.load(directory), "the node's keys are whole and its own")
    else:
        yield ok("keys", "come from the network's daemon")
    if key_files.has_bls(directory):
        yield _loaded(
            "key_bls", lambda: key_files.load_bls(directory), "the key for claims is whole and the node's own"
        )


def _loaded(check: str, load: Callable[[], object], fine: str) -> Result:
    try:
        load()
    except KeyFileError as error:
        found, _, remedy = str(error).partition("; ")
        return failed(check, found, remedy or "restore your backup")
    return ok(check, fine)


def directory(path: Path) -> Result:
    """Who may look into the data directory."""
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o022:
        return failed("directory", f"{path} can be changed by others (mode {mode:03o})", f"chmod 700 {path}")
    if mode & 0o700 != 0o700:
        return failed("directory", f"{path} has mode {mode:03o}, which keeps its owner out", f"chmod 700 {path}")
    if (other := _other_owner(path)) is not None:
        whose, ours = complaint.name(other.lstat().st_uid), complaint.name(path.stat().st_uid)
        told = f"{other} belongs to {whose}, and the directory to {ours}, as whom the node runs"
        return failed("directory", told, f"chown -R {ours}: {path}")
    if mode & 0o055:
        return warning("directory", f"{path} can be read by others (mode {mode:03o})", f"chmod 700 {path}")
    return ok("directory", f"{path} is the node's own")


def _other_owner(path: Path) -> Path | None:
    """A file of a node or a server that is not the directory's owner's, such as one that root has put there."""
    whose = path.stat().st_uid
    with contextlib.suppress(PermissionError):
        for name in _OWN_FILES:
            with contextlib.suppress(FileNotFoundError):
                if (path / name).lstat().st_uid != whose:
                    return path / name
    return None


def umask(pid: int | None) -> Result:
    """Who may do what with files that are made, where nothing else is said."""
    if pid is None:
        mask = os.umask(0)
        os.umask(mask)
    else:
        lines = _text(Path(f"/proc/{pid}/status")).splitlines()
        mask = next((int(line.split()[1], 8) for line in lines if line.startswith("Umask:")), 0o077)
    told, remedy = f"files that are made get their mode by umask {mask:03o}", "UMask=0077 in the unit, or umask 077"
    if mask & 0o700:
        return failed("directory", f"{told}: the node cannot use them itself", remedy)
    if mask & 0o022 != 0o022:
        return warning("directory", f"{told}: others may change them", remedy)
    return ok("directory", told)


def file_system(path: Path) -> Result:
    """Whether the file system keeps what is written, and can do what the store needs."""
    kind, place = "", Path("/")
    for line in _text(Path("/proc/self/mountinfo")).splitlines():
        # "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue"
        head, _, tail = line.partition(" - ")
        mount = Path(head.split()[4].encode().decode("unicode_escape"))
        if path.resolve().is_relative_to(mount) and len(mount.parts) >= len(place.parts):
            kind, place = tail.split()[0], mount
    told = f"{place} is {kind or 'of an unknown kind'}"
    if kind in _PASSING:
        return failed("disk", f"{told}: what is stored there is gone after a restart", "put data_dir on ext4 or xfs")
    if kind == "overlay":
        return warning("disk", f"{told}: it goes with its container", "mount a volume for data_dir")
    if kind.startswith(_REMOTE):
        return warning("disk", f"{told}: locks and fdatasync may not hold there", "put data_dir on a local ext4 or xfs")
    return ok("disk", told)


def store(path: Path, running: bool) -> Result:
    """Whether this version can use the store."""
    from allium import _native

    if not (path / STORE).exists():
        return ok("store", "there is none yet; the first start makes it")
    try:
        found, known = _native.store_format(str(path))
    except OSError as error:
        text = complaint.in_directory(error, path).text
        return failed("store", text.partition("; ")[0], text.partition("; ")[2] or "run `allium store verify`")
    if found > known:
        remedy = "run the version that wrote it, or a newer one"
        return failed("store", f"format {found}, of which this version knows nothing (it writes {known})", remedy)
    if found < known:
        remedy = f"the next start copies it to {STORE}.format-{found}, and then converts it to format {known}"
        return warning("store", f"format {found}", remedy)
    return ok("store", f"format {found}{', in use' if running else ''}")


def space(config: NodeConfig) -> Result:
    """Whether the store can grow as far as it may."""
    held = os.statvfs(config.data_dir)
    free = held.f_bavail * held.f_frsize
    path = config.data_dir / STORE
    to_come = max(0, int(config.max_store_bytes) - (path.stat().st_size if path.exists() else 0))
    told = f"{free / 1e9:.1f} GB are free, the store may take {to_come / 1e9:.1f} GB more"
    if free < _LITTLE_DISK:
        return failed("space", told, "free some of it, or put data_dir on a larger disk")
    if free < to_come:
        return warning("space", told, "free some of it, or lower max_store_bytes")
    return ok("space", told)


def disk(path: Path) -> Result:
    """How long a write takes until it is on the disk. Writes a small file without a name, a few times."""
    try:
        descriptor = os.open(path, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if error.errno in (errno.EOPNOTSUPP, errno.EISDIR):
            return warning("disk", "its speed cannot be measured on this file system", "use ext4 or xfs")
        return refused("disk", error)
    took: list[float] = []
    until = time.monotonic() + _WRITE_SECONDS
    try:
        while len(took) < _WRITES and time.monotonic() < until:
            began = time.perf_counter()
            os.pwrite(descriptor, os.urandom(_WRITE_BYTES), len(took) * _WRITE_BYTES)
            os.fdatasync(descriptor)
            took.append((time.perf_counter() - began) * 1e3)
    except OSError as error:
        return refused("disk", OSError(error.errno, error.strerror, str(path)))
    finally:
        os.close(descriptor)
    median, worst = statistics.median(took), max(took)
    told = f"a write is on it after {median:.2f} ms (median of {len(took)}, the slowest {worst:.1f} ms)"
    if median >= _TOO_SLOW_DISK:
        return failed("disk", told, 'every store waits so long: use another disk, or durability = "async"')
    if median >= _SLOW_DISK:
        return warning("disk", told, "every store waits so long: an SSD takes less than a millisecond or two")
    return ok("disk", told)


def open_files(pid: int | None) -> Result:
    """How many connections the process may have."""
    if pid is None:
        # What a node would do that is started like this.
        limit, whose = limits.raise_open_files(), "this shell's hard limit; the node's own may differ"
    else:
        limit, whose = _limit(pid, "Max open files", resource.RLIMIT_NOFILE), "the node's limit"
    told = f"{'any number of' if limit is None else limit} open files ({whose})"
    remedy = f"LimitNOFILE={1 << 16} in the unit, or ulimit -Hn {1 << 16} before the start"
    if limit is not None and limit < _FEWEST_FILES:
        return failed("limits", told, remedy)
    if limit is not None and limit < limits.WANTED_FILES:
        return warning("limits", told, remedy)
    return ok("limits", told)


def socket_buffers(sysctls: Path = Path("/proc/sys/net/core")) -> Result:
    """How much the kernel holds of what comes over QUIC while the node is busy. Unknown (a container) is well."""
    from allium._native import QUIC_SOCKET_BUFFER

    told = {name: _text(sysctls / name).strip() for name in ("rmem_max", "wmem_max")}
    small = {name: value for name, value in told.items() if value.isdigit() and int(value) < QUIC_SOCKET_BUFFER}
    if not small:
        return ok("limits", "buffers of UDP are large enough")
    found = ", ".join(f"net.core.{name} = {value}" for name, value in small.items())
    wanted = " ".join(f"net.core.{name}={QUIC_SOCKET_BUFFER}" for name in small)
    remedy = f"sysctl -w {wanted}, and in /etc/sysctl.d to keep it"
    return warning("limits", f"{found}: a burst of new QUIC clients is lost, and comes again after a second", remedy)


def memory(pid: int | None) -> Result:
    """Whether secrets may come onto a disk."""
    limit = _limit(pid, "Max locked memory", resource.RLIMIT_MEMLOCK)
    locked = "any amount of memory" if limit is None else f"{limit >> 10} KiB"
    try:
        swaps = [line.split()[0] for line in Path("/proc/swaps").read_text().splitlines()[1:]]
    except OSError:
        swaps = []
    disks = [swap for swap in swaps if not swap.startswith("/dev/zram")]
    told = f"{locked} may be locked (the node locks none)"
    if disks:
        return warning(
            "memory", f"{told}; swap is on: {', '.join(disks)}", "keys may be written there: encrypt it, or swapoff -a"
        )
    return ok("memory", f"{told}; no swap on a disk")


def processor() -> Result:
    """Which code opens onion layers, verifies and signs here, by the size of a batch."""
    from allium import _native

    forced, supported, plan = _native.curve25519()
    works: dict[str, list[str]] = {}
    for work, backend, least in plan:
        works.setdefault(work, []).append(backend if least == 1 else f"{backend} from {least}")
    missing = [] if _AES & _flags() else ["AES instructions"]
    told = "; ".join(f"{work} {', '.join(steps)}" for work, steps in works.items())
    told += "" if missing else "; AES in hardware"
    if forced is not None:
        return warning("processor", f"{told}; forced: {forced}", "unset ALLIUM_X25519, and the best is measured")
    if missing:
        return warning(
            "processor", f"{told}; it has no {missing[0]}", "a processor with them opens layers many times faster"
        )
    if supported == ["scalar"]:
        return warning(
            "processor", told, "a processor with AVX2, or better AVX-512 IFMA, opens layers several times faster"
        )
    return ok("processor", told)


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def _flags() -> set[str]:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return set()
    found = (line.partition(":")[2].split() for line in lines if line.startswith(("flags", "Features")))
    return set(next(found, []))


def _limit(pid: int | None, name: str, number: int) -> int | None:
    """The limit in force for a process, or for this one; `None` when there is none."""
    soft = resource.getrlimit(number)[0]
    own = None if soft == resource.RLIM_INFINITY else soft
    if pid is None:
        return own
    try:
        lines = Path(f"/proc/{pid}/limits").read_text().splitlines()
    except OSError:
        return own
    told = next((line[len(name) :].split()[0] for line in lines if line.startswith(name)), "")
    return int(told) if told.isdigit() else None
