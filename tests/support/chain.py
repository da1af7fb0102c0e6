"""The staking contracts on a real anvil, driven through the published ABI alone."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eth_abi.abi import decode
from eth_typing import ChecksumAddress
from eth_utils.address import to_checksum_address
from web3 import HTTPProvider, Web3
from web3.contract import Contract
from web3.types import RPCEndpoint

from allium import _native
from allium.appchain.parameters import SESH
from allium.devnet import anvil
from allium.staking import abi, artifacts
from allium.staking.addresses import Addresses
from allium.staking.connection import connected
from allium.wallet import deploy

REQUIREMENT = 25_000 * SESH
HOUR, DAY = 3600, 86_400
ZERO = to_checksum_address("0x" + "00" * 20)
NO_SIGNATURE = (0, 0, 0, 0)
_GAS = 16_000_000
#: An estimate of gas is many runs, and the machine may be busy.
_SECONDS = 300

#: Gas of every transaction that the tests sent, by contract and function.
GAS: dict[str, list[int]] = defaultdict(list)
_SOURCES = Path(__file__).with_name("contracts")


def record_gas(what: str, used: int) -> None:
    """Puts a line into the table of gas."""
    GAS[what].append(used)


def words(data: bytes) -> tuple[int, ...]:
    """Bytes as 32-byte big-endian numbers: how the ABI takes keys and signatures."""
    return tuple(int.from_bytes(data[i : i + 32], "big") for i in range(0, len(data), 32))


def raw(address: str) -> bytes:
    """The 20 bytes of an address."""
    return bytes.fromhex(address[2:])


@dataclass
class Node:
    """The keys of a node that has joined or may."""

    secret: _native.BlsSecretKey = field(default_factory=_native.BlsSecretKey.random)
    ed25519: bytes = field(default_factory=lambda: os.urandom(32))
    id: int = 0

    @property
    def key(self) -> tuple[int, ...]:
        return words(self.secret.public)

    def params(self, fee: int = 0) -> tuple[int, int, int, int]:
        return (int.from_bytes(self.ed25519, "big"), 11, 12, fee)


class Chain:
    """One anvil with a network's contracts. `send` sends, `refused` says why a call would revert."""

    def __init__(self, url: str, parameters: deploy.DeployParameters | None = None) -> None:
        self.url = url
        self._parameters = parameters
        self.w3 = Web3(HTTPProvider(url, {"timeout": _SECONDS}))
        #: What is at an address, for the table of gas.
        self.names: dict[str, str] = {}
        accounts: Sequence[ChecksumAddress] = self.w3.eth.accounts
        self.owner, self.alice, self.bob, self.carol, self.dave, *self.others = accounts
        self.addresses = asyncio.run(self._deploy())
        self.token = self.at("SESH", self.addresses.token)
        self.pool = self.at("RewardRatePool", self.addresses.pool)
        self.rewards = self.at("ServiceNodeRewards", self.addresses.rewards)
        self.factory = self.at("ServiceNodeContributionFactory", self.addresses.factory)
        assert self.addresses.splitter
        self.splitter = self.at("FeeSplitter", self.addresses.splitter)
        self.domain = _native.BlsDomain(self.addresses.chain_id, raw(self.addresses.rewards))
        for account in (self.alice, self.bob, self.carol, self.dave, *self.others):
            self.send(self.token.functions.transfer(account, 1_000_000 * SESH), self.owner)
        for account in self.w3.eth.accounts:
            self.send(self.token.functions.approve(self.addresses.rewards, 2**256 - 1), account)

    async def _deploy(self) -> Addresses:
        async with connected(self.url) as provider:
            return await deploy.deploy(provider, anvil.account(0), self._parameters)

    def at(self, name: str, address: str) -> Contract:
        """A contract of ours."""
        self.names[to_checksum_address(address)] = name
        return self.w3.eth.contract(to_checksum_address(address), abi=abi.load(name))

    def rpc(self, method: str, *parameters: Any) -> Any:
        """An answer of the provider's."""
        answer = self.w3.provider.make_request(RPCEndpoint(method), parameters)
        assert "error" not in answer, answer
        return answer["result"]

    # --- calls

    def send(self, call: Any, sender: str, value: int = 0) -> Any:
        """Sends a call, which has to succeed; its receipt."""
        data = call._encode_transaction_data()
        transaction: Any = {"from": sender, "to": call.address, "data": data, "value": value, "gas": _GAS}
        receipt = self.w3.eth.wait_for_transaction_receipt(self.w3.eth.send_transaction(transaction))
        assert receipt["status"] == 1, self.refused(call, sender, value)
        record_gas(f"{self.names.get(call.address, '(test)')}.{call.signature}".split("(")[0], receipt["gasUsed"])
        return receipt

    def refused(self, call: Any, sender: str, value: int = 0) -> tuple[Any, ...]:
        """The name of the error that a call reverts with, and what it says; ("",) for a bare revert."""
        return self._refused(
            {"from": sender, "to": call.address, "data": call._encode_transaction_data(), "value": hex(value)}
        )

    def _refused(self, transaction: dict[str, Any]) -> tuple[Any, ...]:
        call = [{**transaction, "gas": hex(_GAS)}, "latest"]
        answer: Any = self.w3.provider.make_request(RPCEndpoint("eth_call"), call)
        assert "error" in answer, f"did not revert: {answer}"
        data = bytes.fromhex(answer["error"].get("data", "0x")[2:])
        if not data:
            return ("",)
        entry = abi.errors()[data[:4]]
        values = decode(abi.types(entry["inputs"]), data[4:])
        return (
            entry["name"],
            *(
                to_checksum_address(value) if parameter["type"] == "address" else value
                for parameter, value in zip(entry["inputs"], values, strict=True)
            ),
        )

    def create(
        self, artifact: artifacts.Artifact, published: Sequence[Any], *arguments: Any, name: str = ""
    ) -> Contract:
        """Deploys a contract; `name` is for the table of gas."""
        made = self.w3.eth.contract(abi=published, bytecode=artifact.bytecode).constructor(*arguments)
        receipt = self.w3.eth.wait_for_transaction_receipt(made.transact({"from": self.owner, "gas": _GAS}))
        place = receipt["contractAddress"]
        assert receipt["status"] == 1 and place is not None
        self.names[place] = name
        return self.w3.eth.contract(place, abi=published)

    def create_refused(self, artifact: artifacts.Artifact, published: Sequence[Any], *arguments: Any) -> Any:
        """Why a contract cannot be deployed."""
        made = self.w3.eth.contract(abi=published, bytecode=artifact.bytecode).constructor(*arguments)
        return self._refused({"from": self.owner, "data": made.data_in_transaction})

    def probe(self, name: str) -> Contract:
        """A contract of the tests' own."""
        artifact = artifacts.compile_source(_SOURCES / f"{name}.vy")
        return self.create(artifact, artifact.abi)

    def events(self, receipt: Any, contract: Contract) -> list[tuple[Any, ...]]:
        """What `contract` said in a transaction: the name of each event and its values."""
        published: Any = contract.abi
        by_topic = {abi.topic(entry): entry["name"] for entry in published if entry["type"] == "event"}
        return [
            (name, *map(plain, contract.events[name]().process_log(log)["args"].values()))
            for log in receipt["logs"]
            if log["address"] == contract.address
            for name in [by_topic[bytes(log["topics"][0])]]
        ]

    def unstarted(self, initialised: bool = True) -> Contract:
        """A rewards contract that is not started."""
        artifact = artifacts.load("ServiceNodeRewards")
        made = self.create(artifact, _with_age(abi.load("ServiceNodeRewards")), 7200, name="ServiceNodeRewards")
        if initialised:
            call = made.functions.initialize(self.token.address, self.pool.address, REQUIREMENT, 10, 3, 17, 9980)
            self.send(call, self.owner)
        return made

    # --- time

    @property
    def now(self) -> int:
        """The time that the next call sees, about."""
        return int(self.w3.eth.get_block("latest")["timestamp"])

    def at_time(self, timestamp: int) -> None:
        """Mines a block of this time, which calls then see; the next transaction's block is a second later."""
        self.rpc("evm_setNextBlockTimestamp", timestamp)
        self.rpc("evm_mine")

    def send_at(self, timestamp: int, call: Any, sender: str) -> Any:
        """Sends in a block of this time; its receipt."""
        self.rpc("evm_setNextBlockTimestamp", timestamp)
        return self.send(call, sender)

    @contextlib.contextmanager
    def mining_by_hand(self) -> Iterator[None]:
        """Transactions wait for `evm_mine`."""
        self.rpc("evm_setAutomine", False)
        try:
            yield
        finally:
            self.rpc("evm_setAutomine", True)

    # --- nodes

    def entry(self, node: Node) -> Any:
        """What the rewards contract has of a node."""
        return self.rewards.functions.serviceNodes(node.id).call()

    def balance(self, account: str) -> int:
        """SESH, in atomic units."""
        return int(self.token.functions.balanceOf(account).call())

    def possession(self, node: Node, operator: str) -> tuple[int, ...]:
        """The proof that the operator's node has its secret."""
        message = self.domain.possession_message(node.secret.public, raw(operator), node.ed25519)
        return words(self.domain.sign(node.secret, message))

    def adding(self, node: Node, operator: str, contributors: Sequence[Any] = (), fee: int = 0) -> Any:
        """The call that makes `node` join."""
        return self.rewards.functions.addBLSPublicKey(
            node.key, self.possession(node, operator), node.params(fee), list(contributors)
        )

    def join(self, operator: str, contributors: Sequence[Any] = ()) -> Node:
        """A new node in the network."""
        node = Node(id=self.rewards.functions.nextServiceNodeID().call())
        self.send(self.adding(node, operator, contributors), operator)
        return node

    def sign(self, message: bytes, signers: Iterable[Node]) -> tuple[int, ...]:
        """The signature of all signers together."""
        signatures = [self.domain.sign(node.secret, message) for node in signers]
        return words(_native.bls_aggregate_signatures(signatures))

    def rewarding(self, recipient: str, amount: int, signers: Iterable[Node], absent: Iterable[Node] = ()) -> Any:
        """The call that tells the contract what a recipient has earned in all."""
        signature = self.sign(self.domain.reward_message(raw(recipient), amount), signers)
        return self.rewards.functions.updateRewardsBalance(recipient, amount, signature, [node.id for node in absent])

    def exiting(self, node: Node, signers: Iterable[Node], timestamp: int, absent: Iterable[Node] = ()) -> Any:
        """The call that lets `node` go."""
        signature = self.sign(self.domain.exit_message(node.secret.public, timestamp), signers)
        return self.rewards.functions.exitBLSPublicKeyWithSignature(
            node.key, timestamp, signature, [other.id for other in absent]
        )

    def liquidating(self, node: Node, signers: Iterable[Node], timestamp: int, absent: Iterable[Node] = ()) -> Any:
        """The call that removes `node` and pays who calls."""
        signature = self.sign(self.domain.liquidation_message(node.secret.public, timestamp), signers)
        return self.rewards.functions.liquidateBLSPublicKeyWithSignature(
            node.key, timestamp, signature, [other.id for other in absent]
        )


def stakes(*pairs: tuple[str, int]) -> list[Any]:
    """Contributors who are their own beneficiaries; amounts in SESH."""
    return [((address, address), amount * SESH) for address, amount in pairs]


def seeds(chain: Chain, count: int) -> tuple[list[Node], list[Any]]:
    """New nodes, and what `seedPublicKeyList` takes of them."""
    nodes = [Node(id=number + 1) for number in range(count)]
    return nodes, [(node.key, node.params()[0], 1000 + node.id, stakes((chain.alice, 25_000))) for node in nodes]


def _with_age(entries: Sequence[Any]) -> list[Any]:
    """The ABI with our constructor, which the published one leaves open."""
    age = {"name": "minimumExitAge", "type": "uint256"}
    return [*entries, {"type": "constructor", "stateMutability": "nonpayable", "inputs": [age]}]


def plain(value: Any) -> Any:
    """A decoded value without web3's wrappers."""
    if isinstance(value, Mapping):
        return tuple(map(plain, value.values()))
    return tuple(map(plain, value)) if isinstance(value, (list, tuple)) else value


def gas_table() -> list[str]:
    """Lines of what each function cost."""
    return [f"{name:<62}{len(used):>6}{min(used):>12,}{max(used):>12,}" for name, used in sorted(GAS.items())]
