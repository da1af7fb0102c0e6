"""A rewards contract in miniature: it makes the events that a chain of nodes with real keys would see."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256, sha512

from nacl import bindings

from allium.appchain.certificates import Certificate, Verdict, Vote, vote_message
from allium.appchain.events import (
    Contributor,
    Event,
    Exit,
    ExitRequest,
    Position,
    Registration,
    RequirementChange,
    Seed,
    registration_message,
)
from allium.appchain.input import Input, Observation
from allium.appchain.ledger.ledger import Arithmetic
from allium.appchain.machine import apply
from allium.appchain.parameters import SESH, Parameters, devnet
from allium.appchain.state import State, genesis
from allium.appchain.types import (
    Address,
    AtomicSesh,
    BasisPoints,
    BlsKey,
    ContractId,
    Hash,
    Height,
    Index,
    L2Height,
    PublicKey,
    Reasons,
    Seconds,
    Signature,
)

CONTRACT = Address(bytes(range(20)))
RULES = devnet(31337, CONTRACT, L2Height(100))
REQUIREMENT = 25_000 * SESH
QUARTER = REQUIREMENT // 4
RATE = AtomicSesh(22_983_257_229 * 120)


def secret(name: int) -> bytes:
    """The Ed25519 secret key of the node with this number."""
    return bindings.crypto_sign_seed_keypair(sha256(f"node {name}".encode()).digest())[1]


def pubkey(name: int) -> PublicKey:
    return PublicKey(secret(name)[32:])


def bls(name: int) -> BlsKey:
    return BlsKey(sha256(f"bls x {name}".encode()).digest() + sha256(f"bls y {name}".encode()).digest())


def address(name: int | str) -> Address:
    return Address(sha256(f"address {name}".encode()).digest()[:20])


def sign(name: int, message: bytes) -> Signature:
    return Signature(bindings.crypto_sign(message, secret(name))[:64])


def negative(name: int, message: bytes) -> tuple[PublicKey, Signature]:
    """The other Ed25519 key with the X25519 key of a node, and its signature: who has one secret has both."""
    scalar = bindings.crypto_sign_ed25519_sk_to_curve25519(secret(name))
    scalar = bindings.crypto_core_ed25519_scalar_reduce(scalar + bytes(32))
    scalar = bindings.crypto_core_ed25519_scalar_negate(scalar)
    key = bindings.crypto_scalarmult_ed25519_base_noclamp(scalar)
    nonce = bindings.crypto_core_ed25519_scalar_reduce(sha512(scalar + message).digest())
    commitment = bindings.crypto_scalarmult_ed25519_base_noclamp(nonce)
    challenge = bindings.crypto_core_ed25519_scalar_reduce(sha512(commitment + key + message).digest())
    proof = bindings.crypto_core_ed25519_scalar_mul(challenge, scalar)
    return PublicKey(key), Signature(commitment + bindings.crypto_core_ed25519_scalar_add(nonce, proof))


def stakes(*amounts: int, owner: int | str = "staker") -> tuple[Contributor, ...]:
    return tuple(
        Contributor(address(f"{owner} {index}"), address(f"{owner} {index} beneficiary"), AtomicSesh(amount))
        for index, amount in enumerate(amounts)
    )


class World:
    """The contract, the EVM chain and the state machine that follows it."""

    def __init__(self, rules: Parameters = RULES, arithmetic: Arithmetic | None = None) -> None:
        self.state = genesis(rules, arithmetic)
        self.inputs: list[Input] = []
        self.next_id = 1
        self._pending: list[Event] = []
        self._names: dict[PublicKey, int] = {}

    def position(self) -> Position:
        return Position(L2Height(self.state.l2_height + 1), Index(len(self._pending)))

    def register(
        self,
        name: int,
        contributors: Sequence[Contributor] | None = None,
        fee: int = 0,
        signature: Signature | None = None,
        bls_key: BlsKey | None = None,
        key: PublicKey | None = None,
    ) -> ContractId:
        number = ContractId(self.next_id)
        self.next_id += 1
        key, hers = key or pubkey(name), bls(name) if bls_key is None else bls_key
        self._names[key] = name
        signed = sign(name, registration_message(key, hers)) if signature is None else signature
        given = stakes(REQUIREMENT, owner=name) if contributors is None else tuple(contributors)
        self._pending.append(Registration(self.position(), number, key, hers, signed, BasisPoints(fee), given))
        return number

    def seed(self, name: int, contributors: Sequence[Contributor] | None = None) -> ContractId:
        number = ContractId(self.next_id)
        self.next_id += 1
        self._names[pubkey(name)] = name
        given = stakes(REQUIREMENT, owner=name) if contributors is None else tuple(contributors)
        self._pending.append(Seed(self.position(), number, pubkey(name), bls(name), given))
        return number

    def request_exit(self, number: ContractId) -> None:
        self._pending.append(ExitRequest(self.position(), number))

    def exit(self, number: ContractId, returned: int = REQUIREMENT) -> None:
        self._pending.append(Exit(self.position(), number, AtomicSesh(returned)))

    def require(self, amount: int) -> None:
        self._pending.append(RequirementChange(self.position(), AtomicSesh(amount)))

    def certificate(
        self, name: int, verdict: Verdict, height: Height | None = None, votes: int | None = None, reasons: int = 1
    ) -> Certificate:
        """What the testers of `height` (the last one) say of a node that they test."""
        height = self.state.height if height is None else height
        drawn = self.state.quorum(height)
        assert drawn is not None
        worker = Index(drawn.workers.index(pubkey(name)))
        message = vote_message(self.state.parameters.chain, height, worker, verdict, Reasons(reasons))
        count = drawn.threshold if votes is None else votes
        return Certificate(
            height,
            worker,
            verdict,
            tuple(
                Vote(Index(index), Reasons(reasons), sign(self._names[key], message))
                for index, key in enumerate(drawn.validators[:count])
            ),
        )

    def worker(self, height: Height | None = None) -> int:
        """A node that the testers of `height` (the last one) test."""
        drawn = self.state.quorum(self.state.height if height is None else height)
        assert drawn is not None
        return self._names[drawn.workers[0]]

    def input(self, *certificates: Certificate, rate: int = RATE) -> Input:
        height, stride = self.state.height + 1, self.state.parameters.l2_stride
        l2_height = (self.state.l2_height // stride + 1) * stride
        ordered = tuple(sorted(certificates, key=lambda each: (each.height, each.worker)))
        seen = Observation(
            L2Height(l2_height), Hash(sha256(b"%d" % l2_height).digest()), AtomicSesh(rate), tuple(self._pending)
        )
        return Input(Height(height), Seconds(1_750_000_000 + height), seen, ordered)

    def step(self, *certificates: Certificate, rate: int = RATE) -> State:
        """One height with all that happened since the last."""
        given = self.input(*certificates, rate=rate)
        self.state = apply(self.state, given)
        self.inputs.append(given)
        self._pending = []
        return self.state

    def steps(self, count: int) -> State:
        for _ in range(count):
            self.step()
        return self.state


def network(count: int = 12, heights: int = 2) -> World:
    """`count` nodes, registered in the first height; after two they are old enough to be judged and have credit."""
    world = World()
    for name in range(count):
        world.register(name)
    world.steps(heights)
    return world
