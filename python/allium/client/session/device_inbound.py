"""What comes in namespace 21: messages of device groups, and requests to be linked (`spec/protocol-v2` §5, §6).

The account signed all of it, or it is counted and kept like anything else that cannot be read. That does not make it
this device's: there may be several groups, and whoever has the recovery phrase can write one.
"""

from __future__ import annotations

from dataclasses import replace

from allium.client.messages.decoding import MessageError
from allium.client.polling import Received
from allium.client.protocol_v2 import account_keys, device_group, devices, linking
from allium.client.protocol_v2.account_keys import SPREAD
from allium.client.protocol_v2.device_group import GroupMessage
from allium.client.protocol_v2.devices import Payload, Tombstone
from allium.client.protocol_v2.linking import LinkRequest
from allium.client.protocol_v2.primitives import ProtocolError, UnopenedError
from allium.client.session.core import Work
from allium.client.session.device_state import MAX_REQUESTS, DeviceState, Standing, VisibleGroup
from allium.client.session.events import DeviceAsked, DevicesChanged

NAMESPACE = device_group.NAMESPACE
#: So much newer than what can be read a message of the own group has to be to show that the group goes on alone.
DISPLACED_MS = 5 * 60_000
#: Seconds until it is said again that a device is gone.
RESTATED = 3600
_AHEAD_MS = 3_600_000


def take(work: Work, stored: Received) -> None:
    """One message; `MessageError` for what the account did not write, or what is none."""
    state = DeviceState.load(work)
    try:
        if device_group.kind(stored.data) == "link":
            _request(work, state, stored)
        else:
            _message(work, state, GroupMessage.read(stored.data, work.account), stored)
    except UnopenedError:
        # A request for another group, or for a key that is long gone.
        return
    except ProtocolError as error:
        raise MessageError(str(error)) from None


def looked(work: Work) -> None:
    """Everything in the namespace was read, of all members of the swarm that answered."""
    state = DeviceState.load(work)
    if state.standing is Standing.UNKNOWN:
        state.standing = Standing.OUTSIDE if state.groups else Standing.NO_GROUP
        state.save(work)
        work.tell(DevicesChanged())


def _request(work: Work, state: DeviceState, stored: Received) -> None:
    if not state.in_group or min(stored.timestamp, work.now) + linking.TTL * 1000 <= work.now:
        return
    request = linking.open_request(stored.data, work.account, state.payload.keys)
    gone = isinstance(state.payload.entries.get(request.device_id), Tombstone)
    if request.device_id == state.device_id or gone or state.payload.devices.get(request.device_id) == request.record:
        return
    state.requests.pop(request.device_id, None)
    state.requests[request.device_id] = request.encoded, work.seconds
    # Whoever has the recovery phrase can ask as often as they like.
    state.requests = dict(list(state.requests.items())[-MAX_REQUESTS:])
    state.save(work)
    work.tell(DeviceAsked(request.device_id.hex()))


def _message(work: Work, state: DeviceState, message: GroupMessage, stored: Received) -> None:
    payload = opened(work, state, message)
    if state.in_group and message.group_id == state.group_id:
        if payload is not None:
            _merge(work, state, payload, stored)
        elif message.removes(work.account, state.device_id):
            _removed(work, state, message, stored)
        elif stored.timestamp > state.newest + DISPLACED_MS:
            state.standing = Standing.DISPLACED
            _see(work, state, message, stored)
            _keep(work, state)
        return
    if state.standing is Standing.DISPLACED and message.removes(work.account, state.device_id):
        _removed(work, state, message, stored)
        return
    _see(work, state, message, stored)
    if payload is not None and state.standing in (Standing.WAITING, Standing.OUTSIDE, Standing.UNKNOWN):
        admitted(work, state, message, payload, stored.data, stored.timestamp)


def opened(work: Work, state: DeviceState, message: GroupMessage) -> Payload | None:
    """What a message says to this device, with no key made later than now; None if it is not for it.

    A key of a device whose clock is ahead would be current until then. Of two times that devices tell the earlier one
    is a key's, so that all come to the same.
    """
    payload = message.open(state.pair)
    if payload is None:
        return None
    keys = [replace(key, created=min(key.created, work.seconds)) for key in payload.keys]
    return Payload(payload.entries, account_keys.merged(keys))


def _see(work: Work, state: DeviceState, message: GroupMessage, stored: Received) -> None:
    """There is a group that this device is not in."""
    known = state.groups.get(message.group_id)
    timestamp = min(stored.timestamp, work.now + _AHEAD_MS)
    if known is not None and known.timestamp >= timestamp:
        return
    state.groups[message.group_id] = VisibleGroup(message.x25519_public, timestamp)
    if state.standing is Standing.NO_GROUP:
        state.standing = Standing.OUTSIDE
    elif state.in_group and state.newest + device_group.TTL * 1000 < work.now:
        state.standing = Standing.CUT_OFF
    state.save(work)
    if known is None:
        work.tell(DevicesChanged())


def admitted(
    work: Work, state: DeviceState, message: GroupMessage, payload: Payload, data: bytes, timestamp: int
) -> bool:
    """Joins a group that has admitted this device as its own user has confirmed; whether it did."""
    confirmed = [LinkRequest.read(work.account, each.encoded) for each in state.asked if each.confirmed]
    last = state.asked[-1:]
    newest = next((LinkRequest.read(work.account, each.encoded) for each in last if not each.confirmed), None)
    match linking.admission(payload, confirmed, newest):
        case "hold":
            state.held = data
            state.save(work)
        case "join":
            state.standing, state.group_id, state.payload = Standing.MEMBER, message.group_id, payload
            state.newest = timestamp
            state.asked, state.held, state.hashes = [], b"", []
            state.groups.pop(message.group_id, None)
            state.published = payload.keys[0].pair().x25519_public if payload.keys else b""
            _keep(work, state)
            return True
    return False


def _merge(work: Work, state: DeviceState, told: Payload, stored: Received) -> None:
    known = state.payload
    merged = devices.merged(known, told)
    if not device_group.fits(merged):
        raise ProtocolError("more devices than the group's next message could tell of")
    state.hashes.append(stored.hash)
    state.newest = max(state.newest, min(stored.timestamp, work.now + _AHEAD_MS))
    state.payload = merged
    left = [each for each in merged.gone if each in known.devices and not merged.gone[each].removed]
    if left:
        # Who left still has the key.
        state.changed(devices.rotated(state.payload, work.seconds))
    back = [each for each in devices.returning(known, told) if _says_it_again(known, each, stored.timestamp, work)]
    if back:
        state.changed(devices.spent(state.payload, back, work.seconds))
    if state.published and merged.keys and known.keys[:1] != merged.keys[:1]:
        # Two devices may have replaced the key at once; whoever's was stored last has to be the one that counts.
        at_once = known.keys and abs(merged.keys[0].created - known.keys[0].created) < SPREAD
        if at_once and known.keys[0].pair().x25519_public == state.published:
            state.unpushed += 1
        else:
            state.published = merged.keys[0].pair().x25519_public
    if state.payload == known:
        state.save(work)
    else:
        _keep(work, state)


def _says_it_again(known: Payload, device_id: bytes, timestamp: int, work: Work) -> bool:
    gone = known.gone[device_id].time
    return timestamp // 1000 > gone and gone + RESTATED < work.seconds


def _removed(work: Work, state: DeviceState, message: GroupMessage, stored: Received) -> None:
    """Another device said that this one is gone: it forgets all keys, and its id is spent."""
    after = DeviceState.fresh()
    after.standing, after.groups = Standing.REMOVED, state.groups
    _see(work, after, message, stored)
    _keep(work, after)


def _keep(work: Work, state: DeviceState) -> None:
    state.save(work)
    work.tell(DevicesChanged())
