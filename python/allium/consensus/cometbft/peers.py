"""Which peers CometBFT may keep: nodes of the network, whoever else knocks.

CometBFT asks about an address before the handshake, and about a name after it (`filter_peers`). A name is a node's key,
so the state tells who is one; those of the network file are known before there is a state.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable

from allium.appchain.nodes import Leaving
from allium.appchain.state import State
from allium.appchain.types import PublicKey
from allium.consensus.cometbft.committee import Committee, address

#: Of ABCI's queries, with a name or an address and a port behind them.
NAME_PATH, ADDRESS_PATH = "/p2p/filter/id/", "/p2p/filter/addr/"
#: How many addresses that nobody listed may be shaking hands, and for how long one may take at most: CometBFT's three
#: seconds and then some.
_STRANGE_HANDSHAKES = 64
_HANDSHAKE_SECONDS = 5.0
#: Nodes that are registered no more and still sign, so that they have to follow.
_SIGNING = {Leaving.EXPIRED, Leaving.DEREGISTERED}


def name(key: bytes) -> str:
    """What CometBFT calls a node as a peer."""
    return address(key).hex()


class Peers:
    """Who is let in."""

    def __init__(
        self, keys: Iterable[bytes] = (), hosts: Iterable[str] = (), clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`keys` and `hosts` are those of the network file."""
        #: Names of nodes that are not spoken to.
        self.shunned: frozenset[str] = frozenset()
        self._listed, self._hosts, self._clock = frozenset(map(name, keys)), frozenset(hosts), clock
        self._strangers: deque[float] = deque()
        self._seen: tuple[object, ...] = ()
        self._members: frozenset[str] = frozenset()

    def welcomes(self, path: str, state: State, committee: Committee) -> bool:
        """Whether a query about a peer is answered with yes."""
        if path.startswith(NAME_PATH):
            asked = path.removeprefix(NAME_PATH)
            return asked not in self.shunned and (asked in self._listed or asked in self._named(state, committee))
        return self._may_knock(path.removeprefix(ADDRESS_PATH).rpartition(":")[0].strip("[]"))

    def _may_knock(self, host: str) -> bool:
        """Strangers at an address take a place until they have said who they are: they do not take all of them."""
        if host in self._hosts:
            return True
        now = self._clock()
        while self._strangers and now - self._strangers[0] > _HANDSHAKE_SECONDS:
            self._strangers.popleft()
        if len(self._strangers) >= _STRANGE_HANDSHAKES:
            return False
        self._strangers.append(now)
        return True

    def _named(self, state: State, committee: Committee) -> frozenset[str]:
        """The names of all nodes; made anew when somebody came or went."""
        roster = state.quorums[-1].roster if state.quorums else None
        seen = roster, state.departed, committee
        if len(self._seen) != len(seen) or any(one is not other for one, other in zip(seen, self._seen, strict=True)):
            gone: list[PublicKey] = [each.pubkey for each in state.departed.values() if each.leaving in _SIGNING]
            self._members = frozenset(map(name, {*state.nodes, *gone, *committee}))
            self._seen = seen
        return self._members
