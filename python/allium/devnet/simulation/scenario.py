"""What is simulated: how many nodes, for how long, over which network, with whom in it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from allium.appchain.parameters import MAINNET, Parameters
from allium.liveness.clocks import HOUR, Clocks

#: The rules are mainnet's; only the name differs, so that nothing signed here is worth anything there.
RULES: Parameters = replace(MAINNET, name="simulation")
DAY = 86_400.0
CLOCKS = Clocks.of(HOUR)
LIMITS = CLOCKS.limits
#: Between two proofs of a node, and from its start to the first.
PROOF_SECONDS, FIRST_PROOF_SECONDS = CLOCKS.proof, CLOCKS.tick
#: How long a node that comes back was away on average.
OUTAGE_SECONDS = 2 * HOUR
#: How old the oldest nodes are at the beginning; ages are spread evenly.
OLDEST_DAYS = 60
#: What the network keeps, for each node that it has at the beginning.
MESSAGES_PER_NODE = 50_000
MESSAGE_BYTES = 1_000


class Hostile(StrEnum):
    """What hostile nodes do. They work together, and none of them fails."""

    #: They vote against all that work, never against one that does not, and order no certificate against one.
    LIE = "lie"
    #: They neither vote nor pass anything on.
    MUTE = "mute"
    #: They prove that they are there, vote as they should, and serve nobody.
    PRETEND = "pretend"


@dataclass(frozen=True)
class Scenario:
    """One run. Shares are between 0 and 1."""

    nodes: int
    hours: float = 24.0
    seed: int = 1
    #: Seconds that a message takes from one node to another, the median.
    latency: float = 0.08
    #: The share of messages that do not arrive.
    loss: float = 0.01
    #: The share of nodes that stop for good in a day and say nothing.
    deaths: float = 0.02
    #: The share of nodes that in a day go away for a while and come back; as many stop for good, and as many join.
    churn: float = 0.02
    #: The share of nodes that are hostile, and what they do.
    hostile: float = 0.0
    hostility: Hostile = Hostile.LIE
