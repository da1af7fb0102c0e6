"""What a swarm keeps and gives back, over a real network: accounts, groups, members."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator

import pytest

from allium.client import Account, Client, RefusedError, Snode
from allium.client.credentials import AccountCredentials, GroupAdminCredentials, GroupMemberCredentials
from allium.client.groups import subaccounts
from allium.client.groups.identity import GroupIdentity
from allium.client.network import Network
from allium.client.polling import PollResult, poll, poll_everyone, splits
from allium.client.swarm import (
    Delete,
    Outcome,
    Revoke,
    Store,
    Stored,
    Unrevoke,
    delete,
    expire,
    expiries,
    sequence,
    store,
)
from tests.support.devnet import Devnet

HOUR = 3600 * 1000


@contextlib.asynccontextmanager
async def networked(devnet: Devnet, account: Account) -> AsyncIterator[Network]:
    async with Client(account, [devnet.network["seed_url"]]) as client:
        yield client.network


class Cursors:
    """What a database keeps of polls."""

    def __init__(self) -> None:
        self.kept: dict[tuple[bytes, int], str] = {}

    def __call__(self, node: Snode) -> dict[int, str]:
        return {namespace: last for (key, namespace), last in self.kept.items() if key == node.ed25519}

    def keep(self, result: PollResult) -> PollResult:
        self.kept |= {(result.source.ed25519, namespace): last for namespace, last in result.cursors.items()}
        return result


def no_cursors(node: Snode) -> dict[int, str]:
    return {}


async def test_what_an_account_stores_it_reads(shared_devnet: Devnet) -> None:
    account = Account.new()
    own = AccountCredentials(account)
    async with networked(shared_devnet, account) as network:
        done = await sequence(network, own, [Store(2, b"profile", HOUR), Store(0, b"text", HOUR, network.now() - 5000)])
        first, second = done
        assert isinstance(first, Stored) and isinstance(second, Stored)
        assert len(first.confirmations) == 5 and all(each.verified for each in first.confirmations)
        cursors, seen = Cursors(), set[bytes]()
        for _ in range(5):
            result = cursors.keep(await poll(network, own, [2, 3, 0], cursors, renew=[first.hash, "x" * 43]))
            assert [message.data for message in result.messages] == [b"profile", b"text"]
            assert not result.more and not result.refused and result.lost == {"x" * 43}
            seen.add(result.source.ed25519)
        assert len(seen) == 5  # each member in its turn, with its own cursors
        again = await poll(network, own, [2, 0], cursors)
        assert again.messages == () and again.cursors == {}
        [profile] = (await poll(network, own, [2], no_cursors)).messages
        assert profile.expiry > network.now() + 29 * 24 * HOUR  # it was renewed
        assert await expire(network, own, [first.hash], network.now() + HOUR, "shorten") == {first.hash}
        told = await expiries(network, own, [first.hash, "y" * 43])
        assert list(told) == [first.hash] and told[first.hash] <= network.now() + HOUR
        assert await delete(network, own, [second.hash, "y" * 43]) == {second.hash}
        everyone = await poll_everyone(network, own, [2, 0])
        assert [[message.data for message in each.messages] for each in everyone] == [[b"profile"]] * 5
        assert {each.source.ed25519 for each in everyone} == seen


async def test_a_sequence_ends_at_a_refusal(shared_devnet: Devnet) -> None:
    account = Account.new()
    own = AccountCredentials(account)
    async with networked(shared_devnet, account) as network:
        too_long = Store(3, b"for a year", 365 * 24 * HOUR)
        first, refused, last = await sequence(network, own, [Store(2, b"a", HOUR), too_long, Delete(("z" * 43,))])
        assert isinstance(first, Stored)
        assert isinstance(refused, Outcome) and refused.code == 403
        assert last == Outcome(0, None)
        with pytest.raises(RefusedError, match="403"):
            await store(network, account.account_id, too_long, own)
        many = await sequence(network, own, [Store(2, bytes([number]), HOUR) for number in range(45)])
        assert all(isinstance(each, Stored) for each in many)


async def test_members_of_a_group_read_and_write(shared_devnet: Devnet) -> None:
    group = GroupIdentity.of_seed(os.urandom(32))
    admin, member = GroupAdminCredentials(group), Account.new()
    auth = subaccounts.issue(group, member.account_id)
    other = GroupMemberCredentials(member, GroupIdentity.parse(group.group_id), auth)
    async with networked(shared_devnet, member) as network:
        keys, message = await sequence(network, admin, [Store(12, b"keys", HOUR), Store(11, b"hello", HOUR)])
        assert isinstance(keys, Stored) and isinstance(message, Stored)
        await store(network, group.group_id, Store(11, b"hi", HOUR), other)
        result = await poll(network, other, [12, 11], no_cursors, revoked=True)
        assert [each.data for each in result.messages] == [b"keys", b"hello", b"hi"] and not result.refused
        token = subaccounts.token(group, member.account_id)
        [revoked, notice] = await sequence(network, admin, [Revoke((token,)), Store(-11, b"removed", HOUR)])
        assert isinstance(revoked, Outcome) and revoked.ok and isinstance(notice, Stored)
        result = await poll(network, other, [12, 11], no_cursors, revoked=True)
        assert [each.data for each in result.messages] == [b"removed"]
        assert set(result.refused) == {11, 12} and all("401" in reason for reason in result.refused.values())
        [restored] = await sequence(network, admin, [Unrevoke((token,))])
        assert isinstance(restored, Outcome) and restored.ok
        assert not (await poll(network, other, [11], no_cursors)).refused


async def test_pages_are_read_in_one_poll(shared_devnet: Devnet) -> None:
    account = Account.new()
    own = AccountCredentials(account)
    async with networked(shared_devnet, account) as network:
        # Twice what a fourteenth of an answer holds.
        stores = [Store(2, os.urandom(60_000), HOUR) for _ in range(15)]
        assert all(isinstance(each, Stored) for each in await sequence(network, own, stores))
        result = await poll(network, own, [0, 2, 3, 4, 5], no_cursors)
        assert [each.data for each in result.messages] == [each.data for each in stores] and not result.more


async def test_anyone_writes_to_an_inbox(shared_devnet: Devnet) -> None:
    account = Account.new()
    async with networked(shared_devnet, Account.new()) as network:
        stored = await store(network, account.account_id, Store(0, b"from a stranger", HOUR))
        result = await poll(network, AccountCredentials(account), [0], no_cursors)
        assert [message.hash for message in result.messages] == [stored.hash]
        # A second time it is the same message.
        assert (await store(network, account.account_id, Store(0, b"from a stranger", HOUR))).hash == stored.hash


def test_room_in_an_answer() -> None:
    assert splits([0, 2, 3, 5, 4]) == {0: -2, 2: -8, 3: -8, 5: -8, 4: -8}
    assert splits([11, 12, 13, 14, -11]) == {11: -2, 12: -8, 13: -8, 14: -8, -11: -8}
    assert splits([3]) == {3: -1} and splits([0]) == {0: -1}
