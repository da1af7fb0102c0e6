"""What a user or the clock does to the device group, and what of it is to be stored. Each is one transaction.

The group's message is stored before the record: nobody seals for a key that our other devices cannot have.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from allium.client.protocol_v2 import account_keys, device_group, devices, linking
from allium.client.protocol_v2.account_keys import PublicKeys
from allium.client.protocol_v2.device_group import GroupMessage
from allium.client.protocol_v2.devices import DeviceRecord, Payload, Tombstone
from allium.client.protocol_v2.linking import LinkRequest
from allium.client.protocol_v2.primitives import ProtocolError
from allium.client.session import device_inbound, erasing
from allium.client.session.core import Work
from allium.client.session.device_state import AskedRequest, DeviceState, Standing, VisibleGroup, exists
from allium.client.session.events import DevicesChanged
from allium.client.swarm import message_hash

#: What a device says that it is, besides its description.
KIND, VERSION = "d", (0, 1, 0)
#: Devices that a user lets in; a message holds some more.
MAX_DEVICES = 16
#: Devices that are told that they were removed, those removed last.
_MAX_NOTICES = 64
#: So long a group is there without a message, milliseconds.
_GROUP_MS = device_group.TTL * 1000
_OUTSIDE = (
    Standing.NO_GROUP,
    Standing.OUTSIDE,
    Standing.WAITING,
    Standing.REMOVED,
    Standing.DISPLACED,
    Standing.CUT_OFF,
)


def create(work: Work, description: str) -> None:
    """A new group, of this device alone. `ValueError` where it is in one, or nobody has looked whether there is one."""
    state = DeviceState.load(work)
    _outside(state)
    record = state.record(work.seconds, description, KIND, VERSION)
    state.standing, state.group_id = Standing.MEMBER, device_group.new_group_id(work.seconds)
    state.newest, state.asked, state.held = work.now, [], b""
    _turn_on(work)
    # Messages that were sealed for keys of a time before still open with those.
    state.changed(devices.rotated(Payload({state.device_id: record}, state.payload.keys), work.seconds))
    _keep(work, state)


def ask(work: Work, description: str, group_id: bytes | None) -> tuple[LinkRequest, bytes]:
    """A request to be linked, and what is stored of it. `ValueError` where there is no such group."""
    state = DeviceState.load(work)
    _outside(state)
    groups = (
        state.groups if group_id is None else {each: state.groups[each] for each in state.groups if each == group_id}
    )
    if not groups:
        raise ValueError("no device of this account is in a group yet; create one on the first device")
    group = max(groups.values(), key=lambda each: each.timestamp)
    request = LinkRequest.make(work.account, state.device_id, state.record(work.seconds, description, KIND, VERSION))
    _turn_on(work)
    state.standing = Standing.WAITING
    state.asked.append(AskedRequest(request.encoded, work.seconds))
    _keep(work, state)
    return request, request.seal(work.account, group.x25519)


def confirm(work: Work, encoded: bytes) -> bool:
    """Our user has seen the same emoji over there; whether that device has admitted us already."""
    state = DeviceState.load(work)
    if all(each.encoded != encoded for each in state.asked):
        raise ValueError("this device asked nothing like that")
    state.asked = [replace(each, confirmed=each.confirmed or each.encoded == encoded) for each in state.asked]
    state.save(work)
    if not state.held:
        return False
    message = GroupMessage.read(state.held, work.account)
    payload = device_inbound.opened(work, state, message)
    return payload is not None and device_inbound.admitted(work, state, message, payload, state.held, work.now)


def accept(work: Work, device_id: bytes) -> None:
    """Our user has seen the same emoji on the device that asks. `ValueError` if none does, or its time is over."""
    state = _member(work)
    if len(state.payload.devices) >= MAX_DEVICES and device_id not in state.payload.devices:
        raise ValueError(f"a device group has at most {MAX_DEVICES} devices; remove one first")
    encoded, _ = state.requests.pop(device_id, (b"", 0))
    if not encoded:
        raise ValueError("no device of this id asks to be linked, or it asked too long ago")
    try:
        state.changed(linking.admit(state.payload, LinkRequest.read(work.account, encoded), work.seconds))
    except ProtocolError as error:
        raise ValueError(f"it cannot be linked: {error}") from None
    _keep(work, state)


def refuse(work: Work, device_id: bytes) -> bool:
    """Forgets a request; whether there was one."""
    state = _member(work)
    found = state.requests.pop(device_id, None) is not None
    state.save(work)
    return found


def remove(work: Work, device_id: bytes) -> None:
    """Removes another device, which reads nothing that is sent from then on. `ValueError` if it is not there."""
    state = _member(work)
    if device_id not in state.payload.devices:
        raise ValueError("there is no such device")
    if device_id == state.device_id:
        raise ValueError("this is the device itself, which may leave")
    state.changed(devices.without(state.payload, device_id, work.seconds))
    _keep(work, state)


def leave(work: Work) -> None:
    """Takes this device out: the others replace the key. With the last one the group ends, and its record."""
    state = _member(work)
    state.changed(state.payload.with_entry(state.device_id, Tombstone(work.seconds, removed=False)))
    state.standing = Standing.LEAVING
    _keep(work, state)


def _turn_on(work: Work) -> None:
    replace(work.settings, protocol_v2=True).store(work.database.facts)


def _outside(state: DeviceState) -> None:
    if state.standing is Standing.UNKNOWN:
        raise ValueError("nobody has looked yet whether there is a group")
    if state.standing not in _OUTSIDE:
        raise ValueError("this device is in a device group; it has to leave that first")


def _member(work: Work) -> DeviceState:
    state = DeviceState.load(work)
    if not state.in_group:
        raise ValueError("this device is in no device group")
    return state


def _keep(work: Work, state: DeviceState) -> None:
    state.save(work)
    work.tell(DevicesChanged())


# What the clock does


def next_due(work: Work) -> float | None:
    """When this device replaces the account's key, if no other one has by then: Unix seconds; None if never."""
    if not exists(work):
        return None
    state = DeviceState.load(work)
    if not state.in_group or not state.payload.keys or not work.settings.protocol_v2:
        return None
    return state.payload.keys[0].due(state.device_id, len(state.payload.devices))


def tend(work: Work) -> None:
    """Replaces a key whose time is over, and forgets those that nobody needs any more, and requests."""
    if not exists(work):
        return
    state = DeviceState.load(work)
    due = next_due(work)
    if due is not None and due <= work.seconds:
        state.changed(devices.rotated(state.payload, work.seconds))
    left = account_keys.kept(state.payload.keys, work.seconds)
    payload = Payload(state.payload.entries, left)
    groups = {each: group for each, group in state.groups.items() if group.timestamp + _GROUP_MS > work.now}
    requests = {each: told for each, told in state.requests.items() if told[1] + linking.TTL > work.seconds}
    rotates = due is not None and due <= work.seconds
    if rotates or (payload, requests, groups) != (state.payload, state.requests, state.groups):
        state.payload, state.requests, state.groups = payload, requests, groups
        if state.standing is Standing.OUTSIDE and not groups:
            state.standing = Standing.NO_GROUP
        state.save(work)


# What is stored


@dataclass(frozen=True, slots=True)
class DevicePush:
    """What the swarm is to have of the group."""

    #: For namespace 21; empty where nobody is left who could read it.
    message: bytes = field(repr=False)
    #: For namespace -21, empty if that is there already.
    record: bytes
    #: Messages that say nothing more.
    obsolete: tuple[str, ...]
    #: What the state had been changed to.
    unpushed: int
    published: bytes


def begin(work: Work) -> DevicePush | None:
    """What to store now; None if nothing is to be, or nothing can be, as there are too many devices for one message."""
    if not exists(work) or erasing.is_begun(work):
        return None
    state = DeviceState.load(work)
    if not state.unpushed or state.standing not in (Standing.MEMBER, Standing.LEAVING):
        return None
    payload = Payload(state.payload.entries, account_keys.kept(state.payload.keys, work.seconds))
    if not payload.keys:
        payload = devices.rotated(payload, work.seconds)
        if payload.devices and state.in_group:
            state.payload = payload
            state.save(work)
    pair = payload.keys[0].pair()
    record = account_keys.record(work.account, PublicKeys(pair.ml_kem_public, pair.x25519_public))
    if not payload.devices:
        gone = (*state.hashes, message_hash(work.own_id, account_keys.NAMESPACE, record))
        return DevicePush(b"", b"", gone, state.unpushed, b"")
    by_time = sorted(payload.gone.items(), key=lambda item: item[1].time)
    removed = [each for each, tombstone in by_time if tombstone.removed][-_MAX_NOTICES:]
    try:
        message = device_group.seal(work.account, state.group_id, payload, removed)
    except ValueError:
        # No device of ours lets in so many, but one that is none of ours may say so.
        return None
    if pair.x25519_public == state.published or not work.settings.protocol_v2 or state.standing is Standing.LEAVING:
        record = b""
    return DevicePush(message, record, tuple(state.hashes), state.unpushed, pair.x25519_public)


def confirm_push(work: Work, push: DevicePush, stored: str, timestamp: int) -> None:
    """The swarm has it, the message under this hash."""
    state = DeviceState.load(work)
    if state.standing is Standing.LEAVING:
        after = DeviceState.fresh()
        after.standing = Standing.OUTSIDE if push.message else Standing.NO_GROUP
        if push.message:
            after.groups[state.group_id] = VisibleGroup(push.published, timestamp)
        # What was sealed for them may still come.
        after.payload = Payload({}, state.payload.keys)
        _keep(work, after)
        return
    if not state.in_group:
        return
    state.hashes = [*(each for each in state.hashes if each not in push.obsolete), stored]
    state.newest = max(state.newest, timestamp)
    if push.record:
        state.published = push.published
    if state.unpushed == push.unpushed:
        state.unpushed = 0
    state.save(work)
    work.database.seen.add({stored: work.now + device_group.TTL * 1000}, work.now)


def described(record: DeviceRecord) -> str:
    """By what people know a device: one line."""
    return " ".join(record.description.split())
