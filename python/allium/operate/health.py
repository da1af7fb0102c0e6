"""Whether all is well with a running node, judged by its facts, and what to do when not."""

from __future__ import annotations

from collections.abc import Iterator

from allium.operate import clock
from allium.operate.facts import DaemonFacts, Facts
from allium.operate.finding import Finding, Level, failed, warning

#: Parts of a limit beyond which something is nearly, or as good as, full.
_NEARLY_FULL, _FULL = 0.85, 0.97
_BUSY = 0.9
#: Free disk below which writes are in danger, in bytes, and as a part of the disk below which it is time to act.
_LITTLE_DISK = 256 << 20
_LITTLE_PART = 0.05
#: The writer looks for expired messages every ten seconds.
_EXPIRY_LAG = 120.0
#: Nodes of which as many were tested must not all be unreachable.
_MANY_UNREACHABLE = 0.5


def judge(facts: Facts) -> list[Finding]:
    """What is not well, the worst first; empty when all is well."""
    found = [
        *_threads(facts),
        *_serving(facts),
        *_clock(facts),
        *_room(facts),
        *_work(facts),
        *_reach(facts),
    ]
    if facts.chain is not None:
        from allium.operate import chain_health

        found += chain_health.judge(facts, facts.chain)
    return sorted(found, key=lambda finding: finding.level is not Level.FAILED)


def _daemon(daemon: DaemonFacts) -> Iterator[Finding]:
    if not daemon.connected:
        yield failed("the network's daemon is not connected", "start the daemon, or set oxend_rpc to where it listens")
    if daemon.other_keys:
        yield failed(
            "the network's daemon has other keys than this node, which got its own from it when it started",
            "restart the node to take the daemon's keys; or set oxend_rpc to the daemon of this node, and restart",
        )
    if daemon.refusal is not None:
        yield failed(
            "the network's daemon does not take this node's pings, and so does not tell the network of it: "
            f"{daemon.refusal}",
            "its log says more: it wants a version and ports that it knows, and the keys of its own node",
        )
    if daemon.keyless:
        yield failed(
            "the network has this node without its keys",
            "the daemon has to send an uptime proof, which it does within the hour after the node's first pings; "
            "see that it is in sync and reaches others",
        )


def _serving(facts: Facts) -> Iterator[Finding]:
    if facts.daemon is not None:
        yield from _daemon(facts.daemon)
    if not facts.has_network:
        yield failed("there is no list of nodes yet", "wait a minute; after that, the node's log says what is missing")
    elif facts.not_ready is not None and (facts.daemon is None or not facts.daemon.explains_absence):
        remedy = "it serves by itself once that has passed"
        if "swarm" in facts.not_ready:
            remedy = (
                "the network has this node in no swarm: check that it is registered, staked for and not decommissioned"
            )
        yield failed(f"requests are refused: {facts.not_ready}", remedy)


def _threads(facts: Facts) -> Iterator[Finding]:
    for thread in facts.threads:
        if thread.stalled:
            what = "has ended" if thread.ended else f"has stood still for {thread.stalled} s"
            yield failed(
                f"{thread.name} {what}", "restart the node, which systemd does by itself in a minute; report its log"
            )


def _clock(facts: Facts) -> Iterator[Finding]:
    ahead = facts.clock_ahead
    if ahead is None or abs(ahead) < clock.BAD:
        return
    words = f"this node's clock is {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} most others'"
    if abs(ahead) < clock.REFUSED:
        yield warning(words, clock.REMEDY)
    else:
        yield failed(f"{words}: it goes by theirs, for as long as it reaches them", clock.REMEDY)


def _room(facts: Facts) -> Iterator[Finding]:
    engine, disk = facts.engine, facts.disk
    if engine["store_failure"] is not None:
        seconds, why = engine["store_failure"]
        yield failed(
            f"no message can be written, for {seconds} s now: {why}",
            "see what is wrong with the disk of the data directory (full, read-only, failing: `df`, `mount`, `dmesg`); "
            "then it goes on by itself",
        )
    held, limit = engine["store_bytes"], engine["store_max_bytes"]
    if held >= _NEARLY_FULL * limit:
        level = Level.FAILED if held >= _FULL * limit else Level.WARNING
        yield Finding(
            level,
            f"the message store is {held / limit:.0%} full",
            "raise max_store_bytes and restart; else new messages are refused until others expire",
        )
    if disk.free < _LITTLE_DISK:
        yield failed(f"the disk has {disk.free / 1e6:.0f} MB left", "free some of it now, or lower max_store_bytes")
    elif disk.free < max(0, limit - held) or disk.free < _LITTLE_PART * disk.size:
        yield warning(
            f"the disk has {disk.free / 1e9:.1f} GB left, and the store may take {max(0, limit - held) / 1e9:.1f} more",
            "free some of it, or lower max_store_bytes",
        )
    if engine["expiry_lag"] > _EXPIRY_LAG:
        yield warning(
            f"expired messages have waited for {engine['expiry_lag']:.0f} s to be removed",
            "the disk does not keep up: look at its load, and at `allium doctor`",
        )
    if facts.process.open_files >= _NEARLY_FULL * facts.process.max_files:
        yield warning(
            f"{facts.process.open_files} of {facts.process.max_files} files are open",
            "raise the limit of open files (LimitNOFILE= in the unit) and restart",
        )


def _work(facts: Facts) -> Iterator[Finding]:
    for name, taken, limit in facts.engine["queues"]:
        if limit and taken >= _BUSY * limit:
            remedy = (
                "the machine has more to do than it can: raise worker_threads to its cores, or give it more of them"
            )
            if name == "https":
                remedy = (
                    "clients are told that it is busy: raise queue if the machine has time left, else worker_threads"
                )
            elif name == "store":
                remedy = "the disk does not keep up: `allium doctor` measures it"
            yield warning(f"queue {name} is full: {taken} of {limit}", remedy)
    if facts.metrics_trouble is not None:
        yield warning(f"metrics are not served: {facts.metrics_trouble}", "set another metrics_port, and restart")
    if dropped := facts.engine["missed_dropped"]:
        yield warning(
            f"{dropped} things that members of the swarm have missed were not kept for them", "raise max_missed"
        )


def _reach(facts: Facts) -> Iterator[Finding]:
    engine = facts.engine
    if engine["nodes"] <= 1 or not facts.has_network:
        return
    silent = [
        transport
        for transport, seconds in facts.pinged.items()
        if facts.now - max(seconds, facts.started) >= facts.silence
    ]
    if silent:
        yield warning(
            f"nobody has tested this node over {', '.join(silent)} for {facts.silence:.0f} s",
            "open its ports to the outside: https_port (TCP), omq_port (TCP and UDP)",
        )
    if engine["unreachable"] > _MANY_UNREACHABLE * (engine["nodes"] - 1):
        yield warning(
            f"{engine['unreachable']} of {engine['nodes'] - 1} other nodes cannot be reached",
            "check this machine's own way out: firewall, routes, address",
        )
