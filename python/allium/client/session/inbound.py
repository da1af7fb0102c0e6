"""What a poll brought becomes state, in one transaction: configs, then messages, then the cursors (`spec/messages` §8).

The cursors move with what they stand for, so that a crash at any point repeats a poll and loses nothing of it. Whatever
cannot be read is counted and kept, and the next message is read.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence

from allium.client.database.errors import DamagedError, DiskFullError, InUseError, UnwritableError
from allium.client.database.rows import Unreadable
from allium.client.messages.delivery import TTL
from allium.client.polling import PollResult, Received
from allium.client.session import device_inbound, device_state, device_steps, letters, mirror, outbound
from allium.client.session.configs import NAMESPACES as CONFIGS
from allium.client.session.core import Work
from allium.client.session.group import GroupFeature

INBOX = 0
_RESTORING, _READER = "restoring", "reader"
#: Goes up whenever messages can be read that could not be before.
READER = 2
#: Failures of the disk, not of what was received.
_FATAL = (DamagedError, DiskFullError, InUseError, UnwritableError)


def start_restoring(work: Work) -> None:
    """The account was made elsewhere: its configs are to be had before anything else."""
    work.database.facts.set(_RESTORING, b"1")


def is_restoring(work: Work) -> bool:
    """Whether no swarm has told yet what the account's configs are."""
    return work.database.facts.get(_RESTORING) is not None


def restored(work: Work, results: Sequence[PollResult], groups: GroupFeature) -> None:
    """What all members of the swarm had."""
    for result in results:
        receive(work, result, groups)
    work.database.facts.remove(_RESTORING)


def cursors(work: Work, pubkey: str) -> Mapping[bytes, Mapping[int, str]]:
    """Where to go on, by node and namespace."""
    return work.database.cursors.all(pubkey)


def active_hashes(work: Work) -> list[str]:
    """What has to stay in the swarm."""
    return work.configs.active_hashes


def namespaces(work: Work) -> tuple[int, ...]:
    """What is polled, in order: configs, the device group if there has been one for this device, and messages."""
    return (*CONFIGS, device_inbound.NAMESPACE, INBOX) if device_state.exists(work) else (*CONFIGS, INBOX)


def receive(work: Work, result: PollResult, groups: GroupFeature) -> None:
    """Takes a poll of the own account."""
    new = set(work.database.seen.new(message.hash for message in result.messages))
    fresh = [message for message in result.messages if message.hash in new]
    for namespace in CONFIGS:
        if found := [message for message in fresh if message.namespace == namespace]:
            _merge(work, namespace, found, groups)
    if result.lost:
        work.configs.lost(sorted(result.lost))
    _devices(work, fresh, groups)
    for message in fresh:
        if message.namespace not in (*CONFIGS, device_inbound.NAMESPACE):
            guarded(work, message, functools.partial(letters.take, work, message, groups))
    for account_id, step in work.replies:
        outbound.call(work, groups, account_id, step)
    work.replies.clear()
    work.database.seen.add({message.hash: message.expiry for message in fresh}, work.now)
    work.database.cursors.set(result.source.ed25519, work.own_id, result.cursors)


def looked(work: Work, results: Sequence[PollResult], groups: GroupFeature) -> None:
    """What all members of the swarm had of device groups."""
    for result in results:
        receive(work, result, groups)
    device_inbound.looked(work)


def _devices(work: Work, fresh: Sequence[Received], groups: GroupFeature) -> None:
    """Keys come before what was sealed for them."""
    found = [message for message in fresh if message.namespace == device_inbound.NAMESPACE]
    if not found:
        return
    before = work.readers.keys(work)
    for message in found:
        guarded(work, message, functools.partial(device_inbound.take, work, message))
    if set(work.readers.keys(work)) - set(before):
        open_again(work, groups)


def open_again(work: Work, groups: GroupFeature) -> None:
    """There are keys that were not: what could not be opened without them is opened."""
    last = 0
    while page := work.database.unreadable.after(last):
        for kept in page:
            last = kept.id
            sealed = kept.pubkey == work.own_id and kept.namespace == INBOX and kept.data[:1] == b"\0"
            if sealed and _is_read(work, kept, groups):
                work.database.unreadable.remove(kept.id)


def confirm_link(work: Work, encoded: bytes, groups: GroupFeature) -> None:
    """Our user has seen the emoji of our request over there; what the group's keys open is opened, if we are in it."""
    if device_steps.confirm(work, encoded):
        open_again(work, groups)


def adopt(work: Work, expiries: Mapping[str, int]) -> None:
    """Messages that another device has read disappear when it has told the swarm, if that is earlier than thought."""
    for hash_, expiry in expiries.items():
        message = work.database.messages.by_hash(hash_)
        timer = message.timer if message is not None else None
        if message is None or timer is None or not message.read or message.expires is None:
            continue
        # Nobody has read it before it came, whatever a node says.
        if message.received + timer.seconds * 1000 <= expiry < message.expires:
            work.database.messages.set_expiry(message.id, expiry)


def read_again(work: Work, groups: GroupFeature) -> int:
    """What an older version could not read, once for each version that can read more; how much that was."""
    if int(work.database.facts.get(_READER) or 0) >= READER:
        return 0
    count, last = 0, 0
    while page := work.database.unreadable.after(last):
        for kept in page:
            last = kept.id
            if kept.pubkey == work.own_id and kept.data and _is_read(work, kept, groups):
                work.database.unreadable.remove(kept.id)
                count += 1
    work.database.facts.set(_READER, str(READER).encode())
    return count


def _is_read(work: Work, kept: Unreadable, groups: GroupFeature) -> bool:
    stored = Received(kept.namespace, kept.hash, kept.data, kept.timestamp, work.now + TTL)
    if stored.namespace in CONFIGS:
        return _merge(work, stored.namespace, [stored], groups)
    return guarded(work, stored, functools.partial(letters.take, work, stored, groups))


def _merge(work: Work, namespace: int, found: Sequence[Received], groups: GroupFeature) -> bool:
    """Merges config messages; whether all could be read."""
    before = mirror.Before(work, namespace)
    outcome = work.configs[namespace].merge([(message.hash, message.data) for message in found])
    by_hash = {message.hash: message for message in found}
    for hash_ in outcome.unread:
        _unreadable(work, by_hash[hash_], "a config that cannot be read")
    if outcome.merged:
        newest = max(by_hash[hash_].timestamp for hash_ in outcome.merged)
        mirror.note_time(work, namespace, min(newest, work.now))
    if outcome.changed:
        guarded(work, found[0], lambda: _show(work, namespace, before, groups))
    return not outcome.unread


def _show(work: Work, namespace: int, before: mirror.Before, groups: GroupFeature) -> None:
    mirror.apply(work, namespace, before)
    if namespace == work.configs.groups.NAMESPACE:
        groups.configured(work)


def guarded(work: Work, message: Received, take: Callable[[], None]) -> bool:
    """Takes a message, of a swarm or elsewhere, whole or not at all, whatever is in it; whether it was read."""
    told, queued, replies = len(work.events), work.queued, len(work.replies)
    try:
        with work.database.transaction():
            take()
        return True
    except _FATAL:
        raise
    except letters.MessageError as error:
        _unreadable(work, message, str(error))
    except Exception as error:
        # A fault of ours, met by what somebody wrote: it must not hide what others wrote.
        del work.events[told:]
        del work.replies[replies:]
        work.queued = queued
        _unreadable(work, message, type(error).__name__)
    return False


def _unreadable(work: Work, message: Received, reason: str) -> None:
    work.database.unreadable.add(work.own_id, message.namespace, message.hash, message.data, message.timestamp, reason)
