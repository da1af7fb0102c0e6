"""The network from a JSON file: `{"height", "block_hash", "hardfork", "nodes": [{...}]}`.

A node has `pubkey_legacy`, `pubkey_ed25519`, `pubkey_x25519` (64 hex digits), `ip` (IPv4), `https_port`, `omq_port`
and `swarm_id` (an integer; 2**64 - 1 is "in no swarm"). With `"assign_swarms": true` the network's algorithm puts
nodes without one into swarms, by the file's block hash (`spec/swarms` §2). What else stands in the file is left to its
writer.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import json
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from allium.appchain import swarms
from allium.base import complaint, log
from allium.membership import MembershipError

if TYPE_CHECKING:
    from allium._native import Network, NodeEntry

#: Modification time in nanoseconds, size in bytes, inode.
Signature = tuple[int, int, int]

_HEX_KEY = re.compile(r"[0-9a-f]{64}")
_KEYS = ("pubkey_legacy", "pubkey_ed25519", "pubkey_x25519")
_DEFAULT_HARDFORK = (19, 4)


class StaticMembership:
    """Snapshots of one file: at once, when it changes and when told to look. A broken file changes nothing."""

    def __init__(self, path: Path, poll_seconds: float = 1.0) -> None:
        self.path = path
        self._poll_seconds = poll_seconds
        self._look = asyncio.Event()

    def reload(self) -> None:
        """Reads the file again at once, whether or not it looks changed."""
        self._look.set()

    async def __aiter__(self) -> AsyncIterator[Network]:
        """Raises `MembershipError` when the first reading fails; later failures are logged and the network stays."""
        seen = signature(self.path)
        current = read(self.path)
        yield current
        while True:
            forced = await self._changed(seen)
            seen = signature(self.path)
            try:
                network = read(self.path)
            except MembershipError as error:
                log.get("membership").error("network file is unusable, the network before it stays", reason=str(error))
                continue
            if network != current or forced:
                current = network
                yield current

    async def _changed(self, seen: Signature | None) -> bool:
        """Waits for a change; whether somebody asked instead."""
        while signature(self.path) == seen:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._look.wait(), self._poll_seconds)
            if self._look.is_set():
                self._look.clear()
                return True
        return False


def signature(path: Path) -> Signature | None:
    """What tells one version of a file from another; `None` when there is none.

    Take it before reading: a version written in between is then read a second time, and never missed.
    """
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


async def changes(path: Path, poll_seconds: float = 0.2) -> AsyncIterator[None]:
    """Yields at once, and whenever the file is another one."""
    seen: Signature | str | None = "nothing yet"
    while True:
        if (now := signature(path)) != seen:
            seen = now
            yield
        await asyncio.sleep(poll_seconds)


def read(path: Path) -> Network:
    """The network in a file; raises `MembershipError` that names the file, the place in it and what is wrong."""
    logger = log.get("membership")
    try:
        return parse(
            json.loads(path.read_bytes()),
            lambda reason: logger.error("an entry of the network file is left out", file=str(path), reason=reason),
        )
    except PermissionError:
        raise MembershipError(f"the list of nodes cannot be read: {complaint.denied(path)}") from None
    except OSError as error:
        raise MembershipError(f"{path} cannot be read: {error.strerror}; set network_file to the right file") from None
    except RecursionError:
        raise MembershipError(f"{path} is nested too deeply to be a list of nodes") from None
    except MembershipError as error:
        raise MembershipError(f"{path}: {error}") from None
    except ValueError as error:  # not JSON, or not UTF-8
        raise MembershipError(f"{path} is not JSON: {error}") from None


def parse(document: Any, leave_out: Callable[[str], object] | None = None) -> Network:
    """Checks a decoded file and keeps the parts that a snapshot has; raises `MembershipError`.

    With `leave_out`, a node that cannot be used costs no other: that is told why, unless there is no other.
    """
    if not isinstance(document, dict):
        raise MembershipError("the file must be an object with a list of nodes")
    if not isinstance(document.get("nodes"), list):
        raise MembershipError('"nodes" must be a list')
    assign = document.get("assign_swarms", False) is True
    nodes = _nodes(document["nodes"], assign, leave_out)
    block_hash = _block_hash(document.get("block_hash", ""))
    if assign:
        swarm_of = {bytes.fromhex(node["pubkey_legacy"]): node["swarm_id"] for node in nodes}
        assigned = swarms.assign(swarm_of, swarms.seed_of(bytes.fromhex(block_hash)))
        for node in nodes:
            node["swarm_id"] = assigned[bytes.fromhex(node["pubkey_legacy"])]
    return {
        "height": _integer(document.get("height", 0), "height", 0, 2**63 - 1),
        "block_hash": block_hash,
        "hardfork": _hardfork(document.get("hardfork", _DEFAULT_HARDFORK)),
        "nodes": nodes,
    }


def _node(entry: Any, place: str, assign: bool) -> NodeEntry:
    if not isinstance(entry, dict):
        raise MembershipError(f"{place} must be an object")
    if assign:
        entry = {"swarm_id": swarms.UNASSIGNED, **entry}
    for name in (*_KEYS, "ip", "https_port", "omq_port", "swarm_id"):
        if name not in entry:
            raise MembershipError(f"{place} has no {name}")
    node: NodeEntry = {
        "pubkey_legacy": _key(entry["pubkey_legacy"], f"{place}.pubkey_legacy"),
        "pubkey_ed25519": _key(entry["pubkey_ed25519"], f"{place}.pubkey_ed25519"),
        "pubkey_x25519": _key(entry["pubkey_x25519"], f"{place}.pubkey_x25519"),
        "ip": _ipv4(entry["ip"], f"{place}.ip"),
        "https_port": _integer(entry["https_port"], f"{place}.https_port", 1, 65535),
        "omq_port": _integer(entry["omq_port"], f"{place}.omq_port", 1, 65535),
        "swarm_id": _integer(entry["swarm_id"], f"{place}.swarm_id", 0, 2**64 - 1),
    }
    if "version" in entry:
        node["version"] = _version(entry["version"], f"{place}.version")
    if "requested_unlock_height" in entry:
        height = entry["requested_unlock_height"]
        node["requested_unlock_height"] = _integer(height, f"{place}.requested_unlock_height", 0, 2**63 - 1)
    return node


def _nodes(entries: list[Any], assign: bool, leave_out: Callable[[str], object] | None) -> list[NodeEntry]:
    nodes: list[NodeEntry] = []
    #: By its name and value, where each key was first.
    first: dict[tuple[str, str], int] = {}
    refused: list[MembershipError] = []
    for index, entry in enumerate(entries):
        try:
            node = _node(entry, f"nodes[{index}]", assign)
            keys = [("pubkey_legacy", node["pubkey_legacy"]), ("pubkey_ed25519", node["pubkey_ed25519"])]
            keys.append(("pubkey_x25519", node["pubkey_x25519"]))
            for name, key in keys:
                if (name, key) in first:
                    before = first[name, key]
                    raise MembershipError(f"nodes[{before}] and nodes[{index}] have the same {name}; remove one")
        except MembershipError as error:
            if leave_out is None:
                raise
            refused.append(error)
            continue
        first.update(dict.fromkeys(keys, index))
        nodes.append(node)
    if refused and not nodes:
        raise refused[0]
    for reason in refused:
        if leave_out is not None:
            leave_out(str(reason))
    return nodes


def _key(value: Any, place: str) -> str:
    key = value.lower() if isinstance(value, str) else ""
    if not _HEX_KEY.fullmatch(key):
        raise MembershipError(f"{place} must be 64 hex digits, not {value!r}")
    if key.strip("0") == "" and place != "block_hash":
        raise MembershipError(f"{place} is no key: all of it is 0")
    return key


def _block_hash(value: Any) -> str:
    return "" if value == "" else _key(value, "block_hash")


def _ipv4(value: Any, place: str) -> str:
    try:
        if isinstance(value, str):
            return str(ipaddress.IPv4Address(value))
    except ValueError:
        pass
    raise MembershipError(f'{place} must be an IPv4 address such as "192.0.2.1", not {value!r}')


def _integer(value: Any, place: str, least: int, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise MembershipError(f"{place} must be a whole number from {least} to {most}, not {value!r}")
    return value


def _hardfork(value: Any) -> tuple[int, int]:
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise MembershipError(f"hardfork must be [version, revision], not {value!r}")
    return _integer(value[0], "hardfork[0]", 0, 255), _integer(value[1], "hardfork[1]", 0, 255)


def _version(value: Any, place: str) -> tuple[int, int, int]:
    if not isinstance(value, list | tuple) or len(value) != 3:
        raise MembershipError(f"{place} must be [major, minor, patch], not {value!r}")
    major, minor, patch = (_integer(part, f"{place}[{index}]", 0, 65535) for index, part in enumerate(value))
    return major, minor, patch
