"""The staking portal: a public API over the network's state and its contracts (`spec/portal` §4).

It holds no key that is worth anything and signs nothing: what it says can be had from the chain and from the nodes.
"""

from __future__ import annotations
