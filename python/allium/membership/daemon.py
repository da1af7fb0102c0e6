"""What a storage node asks of the network's daemon, and tells it (`spec/swarms` §6)."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from allium.appchain import swarms
from allium.membership.omq import TIMEOUT, OmqConnection, OmqError
from allium.settings import keys
from allium.settings.keys import NodeKeys

if TYPE_CHECKING:
    from allium._native import Network, NodeEntry

_HEX_KEY = re.compile(r"[0-9a-f]{64}")
#: Of a node whose version the daemon does not tell: the least that daemons take (`spec/swarms` §7.1).
_LEAST_VERSION = (2, 8, 0)
_FIELDS = (
    "service_node_pubkey",
    "swarm_id",
    "storage_port",
    "public_ip",
    "height",
    "block_hash",
    "hardfork",
    "snode_revision",
    "funded",
    "pubkey_x25519",
    "pubkey_ed25519",
    "storage_lmq_port",
    "storage_server_version",
)


class Address(NamedTuple):
    """Where a node is; unknown parts are `0.0.0.0` and 0."""

    ip: str
    https_port: int
    omq_port: int

    @property
    def known(self) -> bool:
        """Whether every part is."""
        return self.ip != "0.0.0.0" and self.https_port != 0 and self.omq_port != 0


NOWHERE = Address("0.0.0.0", 0, 0)


@dataclass(frozen=True)
class NodeList:
    """The daemon's list, read."""

    network: Network
    #: Nodes that are paid for, those left out included.
    funded: int
    #: Those of them with a key or a part of the address missing.
    missing: int
    #: Legacy keys of those that have shown no other keys.
    keyless: frozenset[str] = frozenset()


class Daemon(OmqConnection):
    """The commands. All raise `OmqError` when the daemon does not answer, refuses, or makes no sense."""

    #: Why it did not take the last ping.
    refusal: str | None = None
    #: Of the keys that it last gave, the legacy one.
    legacy_public: bytes | None = None

    async def keys(self) -> NodeKeys:
        """The keys of the node that the daemon runs for."""
        answer = await self.call("admin.get_service_node_privkey")
        try:
            ed25519 = bytes.fromhex(answer["service_node_ed25519_privkey"])
            legacy = bytes.fromhex(answer["service_node_privkey"])
            x25519 = bytes.fromhex(answer["service_node_x25519_privkey"])
        except (TypeError, KeyError, ValueError):
            raise OmqError("it gave no keys; it has to run as a service node") from None
        try:
            given = keys.of_secrets(ed25519, legacy, x25519)
        except ValueError as error:
            raise OmqError(f"its keys cannot be used: {error}") from None
        self.legacy_public = given.legacy_public
        return given

    async def service_nodes(self, seen_block: str = "", timeout: float = TIMEOUT) -> dict[str, Any] | None:
        """The answer of `get_service_nodes`; `None` when `seen_block` (64 hex digits) is still the newest."""
        params: dict[str, Any] = {"fields": dict.fromkeys(_FIELDS, True), "active_only": False}
        if seen_block:
            params["poll_block_hash"] = seen_block
        answer = await self.call("rpc.get_service_nodes", params, timeout=timeout)
        if not isinstance(answer, dict):
            raise OmqError("its list of nodes is no object")
        return None if answer.get("unchanged") is True else answer

    async def subscribe_blocks(self) -> bool:
        """Has `notify.block` sent to us for half an hour; whether it was not before."""
        answer = await self.request("sub.block")
        if answer not in ([b"OK"], [b"ALREADY"]):
            raise OmqError(f"sub.block: {b' '.join(answer)[:200].decode(errors='replace')}")
        return answer == [b"OK"]

    async def subscribe_addresses(self) -> None:
        """Has `notify.snode_addr` sent to us; `UnknownCommandError` for a daemon that has none."""
        await self.request("sub.snode_addr", timeout=5.0)

    async def storage_server_ping(
        self, version: tuple[int, int, int], pubkey_ed25519: str, https_port: int, omq_port: int
    ) -> None:
        """Says that we are here, without which the daemon sends no uptime proof."""
        told = {
            "version": list(version),
            "pubkey_ed25519": pubkey_ed25519,
            "https_port": https_port,
            "omq_port": omq_port,
        }
        try:
            _accepted(await self.call("admin.storage_server_ping", told))
        except OmqError as error:
            self.refusal = str(error)
            raise
        self.refusal = None

    async def report_peer_status(self, pubkey_legacy: str, passed: bool) -> None:
        """Says whether another node was reached."""
        told = {"type": "storage", "pubkey": pubkey_legacy, "passed": passed}
        _accepted(await self.call("admin.report_peer_status", told))


def _accepted(answer: Any) -> None:
    status = answer.get("status") if isinstance(answer, dict) else None
    if status != "OK":
        raise OmqError(str(status)[:500])


def read(answer: Mapping[str, Any], addresses: dict[str, Address]) -> NodeList:
    """Reads an answer of `service_nodes`. `OmqError` when it is none.

    `addresses`, by legacy key, is brought up to date; where the answer has none, the one in it is kept.
    """
    states = answer.get("service_node_states")
    height, hardfork, revision = (answer.get(name) for name in ("height", "hardfork", "snode_revision"))
    block_hash = _key(answer.get("block_hash")) or ""
    if not isinstance(states, list) or not _whole(height, 63) or not _whole(hardfork, 16):
        raise OmqError("its list of nodes has no states, height or hardfork")
    nodes: list[NodeEntry] = []
    seen: set[str] = set()
    keyless: set[str] = set()
    funded = missing = 0
    for state in states:
        if not isinstance(state, dict) or state.get("funded") is not True:
            continue
        funded += 1
        node = _node(state)
        keys = (
            set()
            if node is None
            else {"legacy " + node["pubkey_legacy"], node["pubkey_ed25519"], node["pubkey_x25519"]}
        )
        if node is None or keys & seen:
            missing += 1
            if node is None and (legacy := _key(state.get("service_node_pubkey"))) is not None:
                keyless.add(legacy)
            continue
        seen |= keys
        told = Address(node["ip"], node["https_port"], node["omq_port"])
        missing += not told.known
        if told.known:
            addresses[node["pubkey_legacy"]] = told
        elif told == NOWHERE:
            node["ip"], node["https_port"], node["omq_port"] = addresses.get(node["pubkey_legacy"], told)
        nodes.append(node)
    network: Network = {
        "height": int(height or 0),
        "block_hash": block_hash,
        "hardfork": (int(hardfork or 0), revision if isinstance(revision, int) and _whole(revision, 16) else 0),
        "nodes": nodes,
    }
    return NodeList(network, funded, missing, frozenset(keyless))


def _node(state: Mapping[str, Any]) -> NodeEntry | None:
    """`None` for a node that has shown no keys yet."""
    legacy, ed25519, x25519 = (
        _key(state.get(name)) for name in ("service_node_pubkey", "pubkey_ed25519", "pubkey_x25519")
    )
    swarm_id = state.get("swarm_id", swarms.UNASSIGNED)
    if legacy is None or ed25519 is None or x25519 is None or not _whole(swarm_id, 64):
        return None
    return {
        "pubkey_legacy": legacy,
        "pubkey_ed25519": ed25519,
        "pubkey_x25519": x25519,
        "ip": ip_of(state.get("public_ip")),
        "https_port": port_of(state.get("storage_port")),
        "omq_port": port_of(state.get("storage_lmq_port")),
        "swarm_id": swarm_id,
        "version": version_of(state.get("storage_server_version")),
    }


def ip_of(value: Any) -> str:
    """`0.0.0.0` for what is no IPv4 address."""
    try:
        return str(ipaddress.IPv4Address(value)) if isinstance(value, str) else NOWHERE.ip
    except ValueError:
        return NOWHERE.ip


def port_of(value: Any) -> int:
    """0 for what is no port."""
    return value if _whole(value, 16) else 0


def version_of(value: Any) -> tuple[int, int, int]:
    """The least there is for what is no version."""
    match value:
        case [int(major), int(minor), int(patch)] if all(_whole(part, 16) for part in value):
            return major, minor, patch
    return _LEAST_VERSION


def _whole(value: Any, bits: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << bits


def _key(value: Any) -> str | None:
    """`None` also for one of zeros, which is nobody's."""
    return value if isinstance(value, str) and _HEX_KEY.fullmatch(value) and value.strip("0") else None
