"""The words of the state machine. Each has one meaning, one unit and one range (`encoding` holds to the ranges)."""

from __future__ import annotations

from typing import NewType

#: Number of a block of the replicated state machine; 0 is the genesis.
Height = NewType("Height", int)
#: Number of a block of the EVM chain.
L2Height = NewType("L2Height", int)
#: How many heights something lasts.
Blocks = NewType("Blocks", int)
#: Unix time. It is recorded, and nothing is decided by it.
Seconds = NewType("Seconds", int)
#: 10^-9 SESH, the unit of the contracts.
AtomicSesh = NewType("AtomicSesh", int)
#: A thousandth of an atomic SESH, the unit in which rewards accrue.
MilliAtomic = NewType("MilliAtomic", int)
#: Hundredths of a percent.
BasisPoints = NewType("BasisPoints", int)
#: The contract's number of a node; strictly increasing, never given twice.
ContractId = NewType("ContractId", int)
#: 2**64 - 1 means "in no swarm".
SwarmId = NewType("SwarmId", int)
#: Place in an ordered list that others agree on.
Index = NewType("Index", int)
#: Bits of why a node was voted down (`spec/appchain` §4.3).
Reasons = NewType("Reasons", int)

#: A node's Ed25519 key, 32 bytes.
PublicKey = NewType("PublicKey", bytes)
#: A node's BLS key on BN254: X and Y, 32 bytes each, big-endian.
BlsKey = NewType("BlsKey", bytes)
#: An account of the EVM chain, 20 bytes.
Address = NewType("Address", bytes)
#: 32 bytes: of a state, of a block of the EVM chain, of a chain's beginning.
Hash = NewType("Hash", bytes)
#: An Ed25519 signature, 64 bytes.
Signature = NewType("Signature", bytes)

#: Milli-atomic units of an atomic one.
MILLI = 1000
#: Of the genesis; as a date, "never".
NO_HEIGHT = Height(0)
NO_REASONS = Reasons(0)
