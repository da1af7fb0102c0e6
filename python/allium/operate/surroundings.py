"""Checks of what is around a node: clocks, ports, providers of the EVM chain, the network's daemon."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import errno
import socket
import statistics
import time
from typing import TYPE_CHECKING, Any

from allium.client import direct
from allium.client.errors import NetworkError
from allium.consensus.chainfile import ChainFile
from allium.errors import ConsensusError
from allium.membership import MembershipError, static
from allium.operate import clock as clocks
from allium.operate.result import Result, failed, ok, warning
from allium.settings import keys
from allium.settings.config import NodeConfig
from allium.settings.keys import KeyFileError

if TYPE_CHECKING:
    from allium._native import Network

_SECONDS = 5.0
#: A provider's newest block, and its last final one, should not be older.
_BLOCK_OLD = 120.0
#: What `adjtimex` answers when nothing keeps the clock right.
_TIME_ERROR = 5
_STRUCT_TIMEX = 512


def network(config: NodeConfig) -> tuple[Network | None, direct.Node | None, list[Result]]:
    """The network by the file, if there is one that can be used; this node in it; and how the file is."""
    if config.network_file is None:
        return None, own_node(config, None), []
    try:
        known = static.read(config.network_file)
    except MembershipError as error:
        found, _, remedy = str(error).partition("; ")
        remedy = remedy or "set network_file to the right file, or mend it"
        return None, own_node(config, None), [failed("network", found, remedy)]
    own, told = own_node(config, known), f"{len(known['nodes'])} nodes in {config.network_file}"
    if own is None:
        return known, own, [ok("network", told)]
    if all(node["pubkey_ed25519"] != own.ed25519.hex() for node in known["nodes"]):
        remedy = f"add it there by its key {own.ed25519.hex()}, or set network_file to a list that has it"
        return known, own, [warning("network", f"{told}, and this node is none of them", remedy)]
    return known, own, [ok("network", f"{told}, this one among them")]


def own_node(config: NodeConfig, known: Network | None) -> direct.Node | None:
    """The node as others see it; at its own address of this machine when the network has none of it."""
    try:
        own = keys.load(config.data_dir)
    except KeyFileError:
        return None
    key = own.ed25519_public.hex()
    entry = next((node for node in known["nodes"] if node["pubkey_ed25519"] == key), None) if known else None
    ip = entry["ip"] if entry is not None and entry["ip"] != "0.0.0.0" else _local(config)
    return direct.Node(ip, config.https_port, config.omq_port, own.ed25519_public, own.x25519_public)


def _local(config: NodeConfig) -> str:
    """An address of this machine at which the node listens."""
    return "127.0.0.1" if config.bind_ip.is_unspecified else str(config.bind_ip)


async def clock(known: Network | None, own: direct.Node | None) -> list[Result]:
    """How far this machine's clock is from other nodes'."""
    own_key = own.ed25519.hex() if own else ""
    others = [node for node in (known["nodes"] if known else []) if node["pubkey_ed25519"] != own_key]
    told = await clocks.differences(others)
    if not told:
        return [_by_kernel("no other node could be asked" if others else "there is no other node to ask")]
    offset = statistics.median(told)
    words = f"{abs(offset):.2f} s {'behind' if offset > 0 else 'ahead of'} {len(told)} other nodes"
    if abs(offset) >= clocks.REFUSED:
        return [failed("clock", f"{words}: a node that cannot ask three others refuses requests", clocks.REMEDY)]
    if abs(offset) >= clocks.BAD:
        return [warning("clock", words, clocks.REMEDY)]
    return [ok("clock", words)]


def _by_kernel(why: str) -> Result:
    """What the kernel says of the clock: the last resort."""
    try:
        state = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(_STRUCT_TIMEX))
    except (OSError, AttributeError):
        state = _TIME_ERROR
    if state in (-1, _TIME_ERROR):
        return warning("clock", f"{why}, and the kernel knows of no time service", clocks.REMEDY)
    return ok("clock", f"{why}; the kernel says that a time service keeps it")


async def ports(
    config: NodeConfig, own: direct.Node | None, running: bool, told: dict[str, Any] | None
) -> list[Result]:
    """Whether the ports answer, where the node runs, or are free, where it does not."""
    if not running:
        return [_free(config)]
    results = [] if told is None else [_tested(told)]
    if own is None:
        return results
    local = direct.Node(_local(config), own.https_port, own.omq_port, own.ed25519, own.x25519)
    results.append(await _answers("ports", local, "the node's log says why it does not listen; restart it"))
    if own.ip != local.ip:
        public = await _answers(
            "address",
            own,
            "open the ports to the outside; if this machine only cannot reach itself by that address, it is well",
        )
        # From behind some routers a machine does not reach its own public address.
        results.append(public if not public.remedy else warning(public.check, public.found, public.remedy))
    return results


async def _answers(check: str, node: direct.Node, remedy: str) -> Result:
    transports: list[direct.TransportName] = ["https", "omq", "quic"]

    async def one(transport: direct.TransportName) -> str | None:
        try:
            await direct.call(node, "info", {}, transport=transport, timeout=_SECONDS)
        except (NetworkError, OSError, ValueError) as error:
            return f"{transport}: {error}"
        return None

    silent = [why for why in await asyncio.gather(*map(one, transports)) if why is not None]
    where = f"{node.ip}: https {node.https_port}, omq and quic {node.omq_port}"
    if silent:
        return failed(check, f"{where}: {'; '.join(silent)}", remedy)
    return ok(check, f"{where} answer")


def _tested(told: dict[str, Any]) -> Result:
    silent = [
        name
        for name, seconds in told["pinged"].items()
        if told["now"] - max(seconds, told["started"]) > told["silence"]
    ]
    if silent and told["engine"]["nodes"] > 1:
        remedy = "open https_port (TCP) and omq_port (TCP and UDP) to the outside"
        return warning("reachable", f"nobody has tested this node over {', '.join(silent)} lately", remedy)
    tested = [name for name, seconds in told["pinged"].items() if seconds]
    return ok(
        "reachable", f"others have reached it over {', '.join(tested)}" if tested else "nobody had time to test it yet"
    )


def _free(config: NodeConfig) -> Result:
    own, metrics = ("bind_ip", config.bind_ip), ("metrics_ip", config.metrics_ip)
    wanted = [
        (socket.SOCK_STREAM, own, "https_port", config.https_port),
        (socket.SOCK_STREAM, own, "omq_port", config.omq_port),
        (socket.SOCK_DGRAM, own, "omq_port", config.omq_port),
        (socket.SOCK_STREAM, own, "feed_port", config.feed_port),
        (socket.SOCK_STREAM, metrics, "metrics_port", config.metrics_port),
    ]
    for kind, (place, ip), name, port in wanted:
        if port is None:
            continue
        with socket.socket(socket.AF_INET6 if ip.version == 6 else socket.AF_INET, kind) as probe:
            if kind == socket.SOCK_STREAM:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((str(ip), port))
            except OSError as error:
                remedy = {
                    errno.EADDRNOTAVAIL: f"set {place} to an address of this machine (ip address), or to 0.0.0.0",
                    errno.EACCES: f"set another {name}, or AmbientCapabilities=CAP_NET_BIND_SERVICE in the unit",
                }.get(error.errno or 0, f"end the program that has it (ss -lptun), or set another {name}")
                protocol = "TCP" if kind == socket.SOCK_STREAM else "UDP"
                # A node serves without its metrics.
                judge = warning if name == "metrics_port" else failed
                return judge("ports", f"{protocol} port {port} at {ip}: {error.strerror}", remedy)
    return ok("ports", f"https {config.https_port}, omq and quic {config.omq_port} are free")


async def providers(config: NodeConfig) -> list[Result]:
    """The providers of the EVM chain, each for itself."""
    if not config.l2_rpc or config.chain_file is None:
        return []
    try:
        chain = ChainFile.read(config.chain_file)
        from allium.staking.provider import Provider, ProviderError, quantity
    except ConsensusError as error:
        return [failed("providers", str(error), "set chain_file")]
    except ModuleNotFoundError as error:
        return [failed("providers", f"{error.name} is not installed", "pip install 'allium[chain]'")]

    async def one(number: int, url: str) -> Result:
        provider = Provider(url, number)
        name = f"{number} of l2_rpc"

        async def ask(w3: Any) -> tuple[int, int, int]:
            block = await w3.eth.get_block("latest")
            return quantity(await w3.eth.chain_id), quantity(block["number"]), quantity(block["timestamp"])

        began = time.monotonic()
        try:
            chain_id, height, at = await provider.ask(ask)
        except ProviderError as error:
            return failed("providers", f"{name}: {error}", "replace it in l2_rpc, or repair the way to it")
        finally:
            await provider.close()
        took, age = time.monotonic() - began, time.time() - at
        told = f"{name}: chain {chain_id}, block {height}, {max(0, age):.0f} s old, answered in {took * 1e3:.0f} ms"
        if chain_id != chain.l2_chain_id:
            return failed("providers", told, f"the chain is {chain.l2_chain_id}: set l2_rpc to providers of that one")
        if age > _BLOCK_OLD:
            return warning("providers", told, "it lags, or this machine's clock is ahead; replace it in l2_rpc")
        return ok("providers", told)

    results = list(await asyncio.gather(*(one(number, url) for number, url in enumerate(config.l2_rpc))))
    quorum = config.l2_quorum or len(config.l2_rpc) // 2 + 1
    if sum(not result.remedy for result in results) >= quorum:
        # Enough others can be relied on.
        results = [
            result if not result.remedy else warning(result.check, result.found, result.remedy) for result in results
        ]
    return results


async def daemon(config: NodeConfig) -> list[Result]:
    """Whether the network's daemon takes connections."""
    if config.oxend_rpc is None:
        return []
    from allium.base.endpoint import Endpoint
    from allium.membership.daemon import Daemon

    connected = asyncio.Event()
    endpoint = Endpoint(config.oxend_rpc)
    async with Daemon(endpoint) as connection:
        connection.on_connect.append(connected.set)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(connected.wait(), _SECONDS)
    if not connected.is_set():
        return [failed("daemon", f"{config.oxend_rpc} does not answer", endpoint.remedy())]
    return [ok("daemon", f"{config.oxend_rpc} answers")]


async def cometbft(config: NodeConfig) -> list[Result]:
    """Whether CometBFT is there, where the chain file asks for it."""
    if config.chain_file is None:
        return []
    from allium.consensus.cometbft.process import find

    try:
        if ChainFile.read(config.chain_file).cometbft is None:
            return []
        binary = find(config.cometbft)
    except ConsensusError as error:
        return [failed("cometbft", str(error), "run `make cometbft`, or set cometbft to the program")]
    process = await asyncio.create_subprocess_exec(
        binary, "version", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    version, _ = await process.communicate()
    if process.returncode != 0:
        return [failed("cometbft", f"{binary} does not run", "build it again: `make cometbft`")]
    return [ok("cometbft", f"{binary}, version {version.decode(errors='replace').strip()}")]
