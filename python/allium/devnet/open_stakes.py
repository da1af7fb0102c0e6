"""What a portal has to show on a devnet beside the nodes: contracts that still collect, and people who may stake."""

from __future__ import annotations

from collections.abc import Sequence

from eth_account.signers.local import LocalAccount
from eth_typing import ChecksumAddress

from allium._native import BlsSecretKey
from allium.devnet.layout import OpenContract, OpenRecord, StakerRecord
from allium.devnet.stakes import Bank, approve, opened, read_rules
from allium.settings.keys import NodeKeys
from allium.staking.addresses import Addresses
from allium.staking.connection import connected
from allium.wallet.registration import build
from allium.wallet.steps import ContractReader

#: One waits for its operator, one takes anybody, one has kept a place.
CONTRACTS = 3
_FEES = (500, 1000, 250)
_PEOPLE = 3
#: What each of them has: the stake of two nodes.
_STAKES = 2
#: What the faucet has: stakes of nodes, and ether.
_FAUCET_STAKES, _FAUCET_WEI = 8, 10**17


async def prepare(
    url: str,
    funder: LocalAccount,
    nodes: Sequence[tuple[NodeKeys, BlsSecretKey]],
    addresses: Addresses,
    faucet: ChecksumAddress,
) -> OpenRecord:
    """Opens `CONTRACTS` for nodes that are not there yet, and fills the faucet; raises `StakingError`."""
    async with connected(url) as provider:
        rules = await read_rules(ContractReader(provider, addresses))
        bank = Bank(provider, funder, addresses)
        await bank.give(faucet, _FAUCET_STAKES * rules.requirement, _FAUCET_WEI)
        people = [await bank.customer(_STAKES * rules.requirement) for _ in range(_PEOPLE)]
        quarter = -(-rules.requirement // 4)
        contracts = []
        for number, (keys, secret) in enumerate(nodes):
            operator = await bank.customer(rules.requirement)
            registration = build(keys, secret, addresses, operator.account.address)
            places = [(operator.account.address, quarter), (people[0].account.address, quarter)] if number == 2 else []
            call = (registration.key, registration.proof, registration.params(_FEES[number]), places, False)
            opening = operator.transaction("ServiceNodeContributionFactory", addresses.factory, "deploy", *call)
            contract = opened(await operator.send("ServiceNodeContributionFactory.deploy", opening), addresses)
            if number:
                await approve(operator, addresses, contract, quarter)
                giving = ("ServiceNodeContribution", contract, "contributeFunds", quarter, operator.account.address)
                await operator.send("ServiceNodeContribution.contributeFunds", operator.transaction(*giving))
            staker = StakerRecord(operator.account.address, operator.account.key.hex(), quarter if number else 0)
            contracts.append(OpenContract(contract, keys.ed25519_public.hex(), _FEES[number], staker))
    money = _STAKES * rules.requirement
    funded = tuple(StakerRecord(each.account.address, each.account.key.hex(), money) for each in people)
    return OpenRecord(tuple(contracts), funded)
