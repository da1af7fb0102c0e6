"""Whether all is well with a running node, judged by its facts, and what to do when not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from allium.appchain.verdicts import Reason
from allium.operate import clock
from allium.operate.facts import ChainFacts, DaemonFacts, Facts

#: Parts of a limit beyond which something is nearly, or as good as, full.
_NEARLY_FULL, _FULL = 0.85, 0.97
_BUSY = 0.9
#: Free disk below which writes are in danger, in bytes, and as a part of the disk below which it is time to act.
_LITTLE_DISK = 256 << 20
_LITTLE_PART = 0.05
#: The writer looks for expired messages every ten seconds.
_EXPIRY_LAG = 120.0
#: Heights, and seconds, that a state may be behind the time.
_HEIGHTS_BEHIND = 10
_SECONDS_BEHIND = 60.0
#: What testers say of a node, and what helps.
_REASONS = {
    Reason.NO_PROOF: ("it did not prove that it is there", "see its log; network_file has to say where it is"),
    Reason.UNREACHABLE: ("it was not reached", "open https_port (TCP) and omq_port (TCP and UDP)"),
    Reason.SILENT: (
        "it did not say the time when it was asked",
        "open omq_port; see whether the machine is overloaded",
    ),
    Reason.WRONG_CLOCK: ("its clock is wrong", "set the clock by a time service"),
    Reason.L2_BEHIND: ("its EVM chain is behind", "repair or replace the providers in l2_rpc"),
}
#: Nodes of which as many were tested must not all be unreachable.
_MANY_UNREACHABLE = 0.5


class Level(StrEnum):
    """How bad something is."""

    OK = "ok"
    #: The node serves, and something needs looking after.
    WARNING = "warning"
    #: The node does not do its work, or soon will not.
    FAILED = "failed"


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be."""

    level: Level
    what: str
    remedy: str


def judge(facts: Facts) -> list[Finding]:
    """What is not well, the worst first; empty when all is well."""
    found = [
        *_threads(facts),
        *_serving(facts),
        *_clock(facts),
        *_room(facts),
        *_work(facts),
        *_reach(facts),
        *_network(facts),
    ]
    return sorted(found, key=lambda finding: finding.level is not Level.FAILED)


def _failed(what: str, remedy: str) -> Finding:
    return Finding(Level.FAILED, what, remedy)


def _warning(what: str, remedy: str) -> Finding:
    return Finding(Level.WARNING, what, remedy)


def _daemon(daemon: DaemonFacts) -> Iterator[Finding]:
    if not daemon.connected:
        yield _failed("the network's daemon is not connected", "start the daemon, or set oxend_rpc to where it listens")
    if daemon.other_keys:
        yield _failed(
            "the network's daemon has other keys than this node, which got its own from it when it started",
            "restart the node to take the daemon's keys; or set oxend_rpc to the daemon of this node, and restart",
        )
    if daemon.refusal is not None:
        yield _failed(
            "the network's daemon does not take this node's pings, and so does not tell the network of it: "
            f"{daemon.refusal}",
            "its log says more: it wants a version and ports that it knows, and the keys of its own node",
        )
    if daemon.keyless:
        yield _failed(
            "the network has this node without its keys",
            "the daemon has to send an uptime proof, which it does within the hour after the node's first pings; "
            "see that it is in sync and reaches others",
        )


def _serving(facts: Facts) -> Iterator[Finding]:
    if facts.daemon is not None:
        yield from _daemon(facts.daemon)
    if not facts.has_network:
        yield _failed("there is no list of nodes yet", "wait a minute; after that, the node's log says what is missing")
    elif facts.not_ready is not None and (facts.daemon is None or not facts.daemon.explains_absence):
        remedy = "it serves by itself once that has passed"
        if "swarm" in facts.not_ready:
            remedy = (
                "the network has this node in no swarm: check that it is registered, staked for and not decommissioned"
            )
        yield _failed(f"requests are refused: {facts.not_ready}", remedy)


def _threads(facts: Facts) -> Iterator[Finding]:
    for thread in facts.threads:
        if thread.stalled:
            what = "has ended" if thread.ended else f"has stood still for {thread.stalled} s"
            yield _failed(
                f"{thread.name} {what}", "restart the node, which systemd does by itself in a minute; report its log"
            )


def _clock(facts: Facts) -> Iterator[Finding]:
    ahead = facts.clock_ahead
    if ahead is None or abs(ahead) < clock.BAD:
        return
    words = f"this node's clock is {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} most others'"
    if abs(ahead) < clock.REFUSED:
        yield _warning(words, clock.REMEDY)
    else:
        yield _failed(f"{words}: it goes by theirs, for as long as it reaches them", clock.REMEDY)


def _room(facts: Facts) -> Iterator[Finding]:
    engine, disk = facts.engine, facts.disk
    if engine["store_failure"] is not None:
        seconds, why = engine["store_failure"]
        yield _failed(
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
        yield _failed(f"the disk has {disk.free / 1e6:.0f} MB left", "free some of it now, or lower max_store_bytes")
    elif disk.free < max(0, limit - held) or disk.free < _LITTLE_PART * disk.size:
        yield _warning(
            f"the disk has {disk.free / 1e9:.1f} GB left, and the store may take {max(0, limit - held) / 1e9:.1f} more",
            "free some of it, or lower max_store_bytes",
        )
    if engine["expiry_lag"] > _EXPIRY_LAG:
        yield _warning(
            f"expired messages have waited for {engine['expiry_lag']:.0f} s to be removed",
            "the disk does not keep up: look at its load, and at `allium doctor`",
        )
    if facts.process.open_files >= _NEARLY_FULL * facts.process.max_files:
        yield _warning(
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
            yield _warning(f"queue {name} is full: {taken} of {limit}", remedy)
    if facts.metrics_trouble is not None:
        yield _warning(f"metrics are not served: {facts.metrics_trouble}", "set another metrics_port, and restart")
    if dropped := facts.engine["missed_dropped"]:
        yield _warning(
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
        yield _warning(
            f"nobody has tested this node over {', '.join(silent)} for {facts.silence:.0f} s",
            "open its ports to the outside: https_port (TCP), omq_port (TCP and UDP)",
        )
    if engine["unreachable"] > _MANY_UNREACHABLE * (engine["nodes"] - 1):
        yield _warning(
            f"{engine['unreachable']} of {engine['nodes'] - 1} other nodes cannot be reached",
            "check this machine's own way out: firewall, routes, address",
        )


def _network(facts: Facts) -> Iterator[Finding]:
    chain = facts.chain
    if chain is None:
        return
    yield from _agreement(chain)
    yield from _providers(chain)
    stake = chain.stake
    if stake.left is not None:
        yield _warning(
            f"this node is registered no more ({stake.left})",
            "take its stake out with `allium node exit`, or stake anew",
        )
    elif not stake.registered and chain.height:
        yield _warning("this node is not registered", "register it with `allium node register`")
    elif stake.decommissioned:
        why = [_REASONS[reason] for reason in Reason if reason in stake.reasons]
        seconds = max(0, stake.credit) * chain.block_seconds
        yield _failed(
            f"the network has decommissioned this node ({', '.join(found for found, _ in why) or 'nobody says why'}); "
            f"in {seconds / 3600:.1f} h it is deregistered",
            "; ".join([*(remedy for _, remedy in why), "the network then takes it back by itself"]),
        )
    elif chain.proof_validity and facts.now - max(chain.proven, facts.started) > chain.proof_validity:
        yield _failed(
            f"for {facts.now - max(chain.proven, facts.started):.0f} s this node has not proven that it is there",
            "its log says why; network_file has to say where it is",
        )


def _agreement(chain: ChainFacts) -> Iterator[Finding]:
    behind = max(_HEIGHTS_BEHIND * chain.block_seconds, _SECONDS_BEHIND)
    committee = chain.committee
    if committee is not None and committee.height is None:
        yield _failed(
            "CometBFT does not answer" if committee.running else "CometBFT does not run",
            "look into the node's log for what it said when it ended; docs/consensus.md",
        )
    elif committee is not None and committee.catching_up:
        yield _warning("CometBFT catches up with the others", "wait; a long way takes minutes")
    elif committee is not None and committee.peers == 0 and committee.members > 1:
        yield _failed(
            "CometBFT is connected to nobody", "open cometbft_port to the outside, and check the network file"
        )
    if chain.height and chain.lag > behind:
        yield _failed(
            f"the last height ({chain.height}) is {chain.lag:.0f} s old",
            "check the way to the network, and to the providers of the EVM chain; if all nodes have stopped: "
            "docs/consensus.md",
        )


def _providers(chain: ChainFacts) -> Iterator[Finding]:
    troubled = [each for each in chain.providers if each.trouble is not None]
    told = "; ".join(f"{each.number}: {each.trouble}" for each in troubled)
    if troubled and len(chain.providers) - len(troubled) < chain.quorum:
        yield _failed(f"too few providers of the EVM chain can be relied on ({told})", "set l2_rpc to others")
    elif troubled:
        yield _warning(f"a provider of the EVM chain is not relied on ({told})", "repair it, or replace it in l2_rpc")
