"""What a node knows of the others: their proofs, and what it found itself."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from allium.appchain.state import State
from allium.appchain.types import Height, L2Height, PublicKey, Seconds
from allium.appchain.verdicts import HISTORY, Found, Proven
from allium.liveness.clocks import SKEW_SECONDS, Clocks
from allium.liveness.history import Accepted, SavedRecord
from allium.liveness.proof import SignedProof, Uptime, fault


@dataclass
class _Record:
    """Of one node."""

    active_since: Height
    decommissioned_at: Height
    excused: Seconds
    #: Those that count, newest last.
    proofs: deque[Accepted] = field(default_factory=lambda: deque(maxlen=HISTORY))
    #: The last of every address of these, oldest first.
    addresses: dict[str, Seconds] = field(default_factory=dict)
    unreached: tuple[Seconds, Seconds] | None = None
    answered: deque[bool] = field(default_factory=lambda: deque(maxlen=HISTORY))
    in_time: deque[bool] = field(default_factory=lambda: deque(maxlen=HISTORY))

    @property
    def kept(self) -> SavedRecord:
        """As it is kept on the disk."""
        return SavedRecord(
            self.active_since,
            self.decommissioned_at,
            self.excused,
            tuple(self.proofs),
            tuple(Proven(ip, time) for ip, time in self.addresses.items()),
            self.unreached or (),
            tuple(self.answered),
            tuple(self.in_time),
        )

    @classmethod
    def of(cls, kept: SavedRecord, seamless: bool) -> Self:
        """As it was kept. Of the last tests only a node that was not away for long can say what they are worth."""
        record = cls(kept.active_since, kept.decommissioned_at, kept.excused)
        record.proofs.extend(kept.proofs)
        record.addresses.update((proven.ip, proven.time) for proven in kept.addresses)
        if seamless:
            if len(kept.unreached) == 2:
                record.unreached = kept.unreached[0], kept.unreached[1]
            record.answered.extend(kept.answered)
            record.in_time.extend(kept.in_time)
        return record


class Records:
    """Of every node that is registered. Times are Unix time by the own clock."""

    def __init__(self, clocks: Clocks, private: bool) -> None:
        """`private`: nodes of this network may be at addresses that only one machine reaches."""
        self._clocks, self._private = clocks, private
        self._records: dict[PublicKey, _Record] = {}
        #: Of whom something else is known than when `changed` was asked last.
        self._changed: set[PublicKey] = set()

    def recall(self, kept: Mapping[PublicKey, SavedRecord], seamless: bool) -> None:
        """Begins with what was known before a restart; not `seamless`: too long ago to go on as if nothing had been."""
        self._records = {key: _Record.of(each, seamless) for key, each in kept.items()}

    def changed(self) -> dict[PublicKey, SavedRecord | None]:
        """What is to be kept in the place of what was kept since this was asked last; `None`: nothing of this node."""
        keys, self._changed = self._changed, set()
        return {key: None if (record := self._records.get(key)) is None else record.kept for key in keys}

    def follow(self, state: State) -> None:
        """Forgets those that are gone. Who came back begins anew, and who was voted down has proven nothing yet."""
        for key in self._records.keys() - state.nodes.keys():
            del self._records[key]
            self._changed.add(key)
        for key, node in state.nodes.items():
            record = self._records.get(key)
            if record is None:
                # A node that starts does not know when it saw this last.
                ago = (state.height - node.active_since) * state.parameters.block_seconds
                since = Seconds(max(0, state.time - ago))
                self._records[key] = _Record(node.active_since, node.last_decommission_height, since)
                self._changed.add(key)
                continue
            if (record.decommissioned_at, record.active_since) != (node.last_decommission_height, node.active_since):
                self._changed.add(key)
            if record.decommissioned_at != node.last_decommission_height:
                record.decommissioned_at = node.last_decommission_height
                record.proofs.clear()
            if record.active_since != node.active_since:
                record.active_since, record.excused = node.active_since, state.time
                record.answered.clear()
                record.in_time.clear()

    def refusal(self, uptime: Uptime, now: float) -> str | None:
        """Why a proof is not taken; `None` when it is, if its signature is right."""
        if (why := fault(uptime, now, self._clocks.tolerance, self._private)) is not None:
            return why
        if (record := self._records.get(uptime.pubkey)) is None:
            return "it is by nobody who is registered"
        # What came at a time to come says that the own clock was put right since.
        last = record.proofs[-1] if record.proofs else None
        if last is not None and last.at <= now and uptime.time - last.proof.uptime.time < self._clocks.proof / 2:
            return "the one before is too new"
        return None

    def take(self, proof: SignedProof, now: float) -> None:
        """Notes a proof that is not refused."""
        uptime = proof.uptime
        record = self._records[uptime.pubkey]
        self._changed.add(uptime.pubkey)
        record.proofs.append(Accepted(proof, Seconds(int(now))))
        record.addresses.pop(uptime.ip, None)
        record.addresses[uptime.ip] = Seconds(int(now))
        while len(record.addresses) > 2:
            del record.addresses[next(iter(record.addresses))]

    def reported(self, key: PublicKey, reached: bool, now: float) -> None:
        """Notes whether a node was reached."""
        if (record := self._records.get(key)) is not None:
            at = Seconds(int(now))
            before, last = record.unreached, record.unreached
            if last is not None and not 0 <= at - last[1] <= self._clocks.limits.report_validity:
                # Nobody tried for so long, so nobody knows what was meanwhile.
                last = None
            record.unreached = None if reached else (at if last is None else last[0], at)
            if record.unreached != before:
                self._changed.add(key)

    def asked(self, key: PublicKey, skew: float | None) -> None:
        """Notes by how many seconds a node's clock differs; `None` when it did not say."""
        if (record := self._records.get(key)) is not None:
            self._changed.add(key)
            record.answered.append(skew is not None)
            if skew is not None:
                record.in_time.append(abs(skew) <= SKEW_SECONDS)

    def last(self, key: PublicKey) -> Accepted | None:
        """A node's last proof that counts."""
        record = self._records.get(key)
        return record.proofs[-1] if record is not None and record.proofs else None

    def history(self, key: PublicKey) -> tuple[Accepted, ...]:
        """A node's last proofs that count, oldest first."""
        record = self._records.get(key)
        return () if record is None else tuple(record.proofs)

    def found(self) -> Mapping[PublicKey, Found]:
        """All that is known, for whoever judges."""
        return {key: _found(record) for key, record in self._records.items()}


def _found(record: _Record) -> Found:
    last = record.proofs[-1] if record.proofs else None
    return Found(
        # A proof from the future lasts no longer for that.
        proven=Seconds(0) if last is None else min(last.proof.uptime.time, last.at),
        excused=record.excused,
        l2_height=L2Height(0) if last is None else last.proof.uptime.l2_height,
        unreached=record.unreached,
        answered=tuple(record.answered),
        in_time=tuple(record.in_time),
        addresses=tuple(Proven(ip, time) for ip, time in record.addresses.items()),
    )
