"""The device group and others' keys by a set clock: what messages change, what time does, where a process may end."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from allium.client.database import Database, archive
from allium.client.messages.encoding import encode
from allium.client.messages.kinds import Letter, Target, Text, Unsend
from allium.client.protocol_v2 import account_keys, device_group, devices, linking, messages
from allium.client.protocol_v2.account_keys import AccountKey
from allium.client.protocol_v2.devices import DeviceRecord, Payload, Tombstone
from allium.client.session import Settings, device_inbound, device_steps, inbound, outbound, peer_keys, sending
from allium.client.session.core import Work
from allium.client.session.device_state import DeviceState, Standing
from tests.client.test_session_crashes import Deaths, Killed
from tests.support.pigeon import Device, Sky

HOUR = 3_600_000


def state(device: Device) -> DeviceState:
    return device.run(DeviceState.load)


def keys_of(device: Device) -> tuple[AccountKey, ...]:
    return device.run(lambda work: work.readers.keys(work))


def look(device: Device) -> None:
    device.run(lambda work: DeviceState.load(work).save(work))
    device.poll()
    device.run(device_inbound.looked)


def create(device: Device, description: str = "") -> None:
    if device.run(lambda work: DeviceState.load(work).standing) is Standing.UNKNOWN:
        look(device)
    if not state(device).in_group:
        device.run(device_steps.create, description)
    device.push_devices()


def ask(device: Device) -> bytes:
    """A request, once; repeated it is the same one."""
    look(device)
    if not state(device).asked:
        _, sealed = device.run(device_steps.ask, "the second", None)
        device.sky.put(device.id, 21, sealed, linking.TTL * 1000)
    return state(device).asked[-1].encoded


def accept(device: Device) -> None:
    device.poll()
    for each in list(state(device).requests):
        device.run(device_steps.accept, each)
    device.push_devices()


def link(device: Device, to: Device) -> None:
    device.run(inbound.confirm_link, ask(device), device.groups)
    accept(to)
    device.poll()


@pytest.fixture
def second(sky: Sky, tmp_path: Path, bob: Device) -> Iterator[Device]:
    device = Device(sky, tmp_path / "second", bob.account)
    yield device
    device.core.close()


def say(device: Device, to: Device, body: str) -> None:
    device.run(outbound.text, device.groups, to.id, body)
    device.flush()


def heard(device: Device, other: Device) -> list[str]:
    return [each.body for each in device.database.messages.page(other.id) if each.kind == "text"]


def test_everything_at_its_time(sky: Sky, alice: Device, bob: Device) -> None:
    create(alice)
    create(bob)
    [first] = keys_of(bob)
    say(alice, bob, "one")
    # Half a day and an hour later, whatever is drawn, the key is another one.
    sky.now += 13 * HOUR
    bob.push_devices()
    assert [key.seed for key in keys_of(bob)][1:] == [first.seed]
    record = [each.data for each in sky.swarms[bob.id] if each.namespace == -21]
    [published] = [account_keys.read_record(bob.id, each) for each in record]
    assert published.x25519 == keys_of(bob)[0].pair().x25519_public
    # One message of the group is there at a time, and says all.
    assert [each.namespace for each in sky.swarms[bob.id]].count(21) == 1
    bob.poll()
    assert heard(bob, alice) == ["one"]
    # A key that was replaced opens messages for sixteen days more.
    sky.now += account_keys.KEPT * 1000 - 1000
    bob.push_devices()
    assert first.seed in [key.seed for key in keys_of(bob)]
    sky.now += 2000
    bob.push_devices()
    assert first.seed not in [key.seed for key in keys_of(bob)]


def test_a_key_that_has_served_is_nowhere(sky: Sky, tmp_path: Path) -> None:
    path = tmp_path / "clear"
    bob = Device(sky, path, name="Bob")
    create(bob)
    [first] = keys_of(bob)

    def there() -> bool:
        files = [path, path.with_name(path.name + "-wal")]
        return any(first.seed in each.read_bytes() for each in files if each.exists())

    assert there()
    sky.now += 13 * HOUR
    bob.push_devices()
    sky.now += account_keys.KEPT * 1000
    bob.push_devices()
    assert not there()
    # Nor is what there is now in a backup: who restores one is another device.
    archive.backup(bob.database, tmp_path / "backup", bytes(16))
    archive.restore(tmp_path / "backup", bytes(16), tmp_path / "restored", None)
    with Database.open(tmp_path / "restored", None) as restored:
        assert restored.secrets.get("device") is None
    bob.core.close()


def test_how_long_a_record_is_believed(sky: Sky, alice: Device, bob: Device) -> None:
    def told() -> tuple[str, bool]:
        return alice.run(lambda work: (peer_keys.freshness(work, bob.id), peer_keys.keys_of(work, bob.id) is not None))

    assert told() == ("old", False)
    alice.run(peer_keys.learn, bob.id, (), False)
    for hours, expected in ((0, ("fresh", False)), (1, ("old", False))):
        sky.now += hours * HOUR
        assert told() == expected
    create(bob)
    [record] = [each for each in sky.swarms[bob.id] if each.namespace == -21]
    assert alice.run(peer_keys.learn, bob.id, (record,), False)
    for hours, freshness in ((0, "fresh"), (23, "fresh"), (1, "stale"), (23, "stale")):
        sky.now += hours * HOUR
        assert told() == (freshness, True)
    sky.now += HOUR
    assert told() == ("old", False)
    # One member of a swarm that knows of no record, where there was one, is not believed alone.
    assert not alice.run(peer_keys.learn, bob.id, (), False)
    assert alice.run(peer_keys.learn, bob.id, (), True)
    assert told() == ("fresh", False)
    # A clock that was ahead keeps nothing for ever.
    alice.run(lambda work: work.database.peer_keys.set(bob.id, record.data, work.seconds + 10**9))
    assert told() == ("old", False)


def test_records_are_forgotten_when_there_are_too_many(alice: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("allium.client.database.peer_keys.MAX_ACCOUNTS", 3)
    for number in range(5):
        alice.database.peer_keys.set(f"05{number:064x}", b"", number)
    kept = [number for number in range(5) if alice.database.peer_keys.get(f"05{number:064x}")]
    assert kept == [2, 3, 4]


def test_devices_that_replace_the_key_at_once_agree(sky: Sky, alice: Device, bob: Device, second: Device) -> None:
    create(bob)
    link(second, bob)
    assert state(second).standing is Standing.MEMBER
    sky.now += 13 * HOUR
    for device in (second, bob):
        device.push_devices()
    assert keys_of(bob)[0] != keys_of(second)[0]
    for _ in range(2):
        for device in (bob, second):
            device.poll()
            device.push_devices()
    assert keys_of(bob) == keys_of(second) and len(keys_of(bob)) == 3
    [record] = [each.data for each in sky.swarms[bob.id] if each.namespace == -21]
    assert account_keys.read_record(bob.id, record).x25519 == keys_of(bob)[0].pair().x25519_public


def test_a_group_that_goes_on_without_this_device(sky: Sky, bob: Device, second: Device) -> None:
    create(bob)
    link(second, bob)
    # Somebody with the recovery phrase writes a message of the group for another device alone.
    stranger = Payload({bytes(32): DeviceRecord.of(devices.device_keys(bytes(32)), 1, 1, "")}, keys_of(bob))
    message = device_group.seal(bob.account, state(bob).group_id, stranger)
    sky.now += device_inbound.DISPLACED_MS
    sky.put(bob.id, 21, message, HOUR)
    bob.poll()
    assert state(bob).standing is Standing.MEMBER
    sky.now += 1000
    sky.put(bob.id, 21, device_group.seal(bob.account, state(bob).group_id, stranger), HOUR)
    bob.poll()
    assert state(bob).standing is Standing.DISPLACED
    # It writes nothing any more, and what goes to our other devices is as it was before.
    sky.now += 13 * HOUR
    bob.push_devices()
    assert bob.run(device_steps.begin) is None
    with pytest.raises(ValueError, match="in no device group"):
        bob.run(device_steps.leave)


def test_another_group(sky: Sky, bob: Device, second: Device) -> None:
    create(bob)
    look(second)
    assert state(second).standing is Standing.OUTSIDE
    # A second group is a warning, and nothing else.
    second.run(device_steps.create, "another")
    second.push_devices()
    bob.poll()
    assert state(bob).standing is Standing.MEMBER and list(state(bob).groups) == [state(second).group_id]
    # After a month away the own one is gone, and the other one is there.
    sky.now += device_group.TTL * 1000 + 1000
    second.push_devices()
    bob.poll()
    assert state(bob).standing is Standing.CUT_OFF
    assert bob.run(device_steps.begin) is None


def test_an_id_that_is_spent_is_said_to_be(sky: Sky, bob: Device, second: Device) -> None:
    create(bob)
    link(second, bob)
    lost = state(second)
    bob.poll()
    bob.run(device_steps.remove, lost.device_id)
    bob.push_devices()
    gone = state(bob).payload.gone[lost.device_id].time
    told = Payload({**lost.payload.entries}, keys_of(bob))
    sky.now += 2 * HOUR
    sky.put(bob.id, 21, device_group.seal(bob.account, state(bob).group_id, told), HOUR)
    bob.poll()
    assert state(bob).payload.gone[lost.device_id].time > gone
    assert state(bob).unpushed == 1
    # Once is enough.
    sky.put(bob.id, 21, device_group.seal(bob.account, state(bob).group_id, told), HOUR)
    bob.poll()
    assert state(bob).unpushed == 1


def test_both_forms_of_a_message_are_one(sky: Sky, alice: Device, bob: Device) -> None:
    create(bob)
    pair = keys_of(bob)[0].pair()
    public = account_keys.PublicKeys(pair.ml_kem_public, pair.x25519_public)
    for number, forms in enumerate((("v1", "v2"), ("v2", "v1"), ("v2", "v2"), ("fallback",))):
        letter = Letter(Text(f"text {number}"), sky.now + number)
        content = encode(letter)
        for form in forms:
            if form == "v1":
                alice.post(letter, bob.id)
            elif form == "v2":
                sky.put(bob.id, 0, messages.seal(content, alice.account, bob.id, public), HOUR)
            else:
                sky.put(bob.id, 0, messages.seal_without_keys(content, alice.account, bob.id), HOUR)
    bob.poll()
    told = [(each.body, each.extra.get("forward_secret")) for each in bob.database.messages.page(alice.id)]
    assert told == [("text 0", None), ("text 1", True), ("text 2", True), ("text 3", False)]
    # Somebody else's copy to self, or deletion, is none in this form either.
    forged = encode(Letter(Text("not mine", sync_target=alice.id), sky.now + 9))
    sky.put(bob.id, 0, messages.seal(forged, alice.account, bob.id, public), HOUR)
    unsent = encode(Letter(Unsend(Target(sky.now, bob.id)), sky.now + 10))
    sky.put(bob.id, 0, messages.seal(unsent, alice.account, bob.id, public), HOUR)
    bob.poll()
    assert len(bob.database.messages.page(alice.id)) == 4 and bob.database.unreadable.total() == 2


def test_what_waits_is_sealed_for_who_has_keys_by_then(sky: Sky, alice: Device, bob: Device) -> None:
    create(alice)
    alice.run(outbound.text, alice.groups, bob.id, "written while there were none")
    create(bob)
    alice.flush()
    bob.poll()
    [message] = bob.database.messages.page(alice.id)
    assert message.extra == {"forward_secret": True, "fetched": sky.now}
    # What was tried once is never sealed anew, whatever is known later.
    alice.run(outbound.text, alice.groups, bob.id, "tried once")
    [item, *_] = alice.run(sending.begin)
    alice.run(peer_keys.reseal, item)
    alice.restart()
    alice.run(lambda work: work.database.peer_keys.set(bob.id, b"", work.seconds))
    [again, *_] = alice.run(sending.begin)
    assert again.id == item.id and not again.unsealed and again.hash != item.hash
    alice.run(sending.retry, again, "no answer")
    sky.now += 10_000
    [last, *_] = alice.run(sending.begin)
    assert (last.hash, last.payload) == (again.hash, again.payload)


def test_requests_end(sky: Sky, bob: Device, second: Device) -> None:
    create(bob)
    ask(second)
    bob.poll()
    [asks] = state(bob).requests
    assert asks == state(second).device_id
    sky.now += linking.TTL * 1000
    bob.push_devices()
    with pytest.raises(ValueError, match="no device of this id"):
        bob.run(device_steps.accept, asks)
    assert not state(bob).requests


def steps(alice: Device, bob: Device, second: Device) -> list[tuple[Device, Callable[[], object]]]:
    """What is done one after the other. A step that is repeated changes nothing more."""

    def once(device: Device, to: Device, body: str) -> Callable[[], object]:
        def told() -> None:
            if body not in heard(device, to):
                device.run(outbound.text, device.groups, to.id, body)

        return told

    def remove() -> None:
        for each in state(bob).payload.devices.keys() - {state(bob).device_id}:
            bob.run(device_steps.remove, each)

    def confirm() -> None:
        if state(second).asked:
            second.run(inbound.confirm_link, state(second).asked[-1].encoded, second.groups)

    return [
        (bob, lambda: create(bob)),
        (alice, lambda: create(alice)),
        (alice, once(alice, bob, "one")),
        (alice, alice.flush),
        (second, lambda: ask(second)),
        (bob, lambda: accept(bob)),
        (second, second.poll),
        (second, confirm),
        (second, second.poll),
        (bob, once(bob, alice, "two")),
        (bob, bob.flush),
        (second, second.poll),
        (alice, alice.poll),
        (bob, remove),
        (bob, bob.push_devices),
        (second, second.poll),
        (bob, bob.poll),
    ]


def outcome(directory: Path, deaths: Deaths, at: int) -> tuple[bool, list[object]]:
    """Whether a process ended at its transaction number `at`, and what is then, after all went on."""
    directory.mkdir()
    deaths.left, sky = -1, Sky()
    alice, bob = Device(sky, directory / "alice", name="Alice"), Device(sky, directory / "bob", name="Bob")
    second = Device(sky, directory / "second", bob.account)
    deaths.left, died = at, False
    for device, step in steps(alice, bob, second):
        sky.now += 1000
        try:
            step()
        except Killed:
            died = True
            device.restart()
            device.flush()
            device.push_devices()
            step()
    deaths.left = -1
    inboxes = [[each.namespace for each in sky.swarms[device.id]].count(0) for device in (alice, bob)]
    result: list[object] = [
        [heard(alice, bob), heard(bob, alice), heard(second, alice)],
        [each.extra.get("forward_secret") for each in bob.database.messages.page(alice.id)],
        [state(each).standing for each in (alice, bob, second)],
        [len(keys_of(each)) for each in (alice, bob, second)],
        [len(state(bob).payload.devices), len(state(bob).payload.gone), state(bob).unpushed],
        inboxes,
    ]
    for each in (alice, bob, second):
        each.core.close()
    return died, result


def test_whenever_it_ends_the_result_is_the_same(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    deaths = Deaths(monkeypatch)
    _, expected = outcome(tmp_path / "never", deaths, -1)
    assert expected[2] == [Standing.MEMBER, Standing.MEMBER, Standing.REMOVED]
    assert expected[0] == [["one", "two"], ["one", "two"], ["one", "two"]]
    at, died = 0, True
    while died:
        # Just before one transaction, just after the next but one, and so on.
        at += 2
        deaths.after = at % 4 == 0
        died, result = outcome(tmp_path / str(at), deaths, at)
        assert result == expected, f"it ended at {at}"
    assert at > 25


def test_junk_is_counted_and_kept(sky: Sky, bob: Device) -> None:
    create(bob)
    for number, data in enumerate((b"", b"de", b"d0:1:Le", b"d0:1:Gd1:@8:aaaaaaaaee", b"i" * 76_800)):
        sky.put(bob.id, 21, data + str(number).encode() * bool(number > 3), HOUR)
    before = state(bob)
    bob.poll()
    assert bob.database.unreadable.total() == 5
    assert state(bob) == before
    assert bob.run(inbound.namespaces)[-2:] == (21, 0)


def test_what_an_own_device_says_may_be_anything(sky: Sky, bob: Device, second: Device) -> None:
    create(bob)
    link(second, bob)
    bob.poll()
    group, there = state(bob).group_id, state(bob).payload
    sky.now += 1000
    far = AccountKey(b"\x7f" * 32, (1 << 62) - 2)
    crowd = {bytes([number]) * 32: there.entries[state(bob).device_id] for number in range(60)}
    for payload in (
        Payload(dict(there.entries), (far,)),
        Payload({**there.entries, b"\x08" * 32: Tombstone((1 << 62) + 5, removed=True)}, there.keys),
        *(Payload({**there.entries, **dict(list(crowd.items())[at : at + 20])}, there.keys) for at in (0, 20, 40)),
    ):
        sky.put(bob.id, 21, device_group.seal(bob.account, group, payload), HOUR)
        bob.poll()
        bob.push_devices()
    # More than the next message could tell of is refused, and kept.
    assert len(state(bob).payload.devices) == 21 and bob.database.unreadable.total() == 2
    assert keys_of(bob)[0] == replace(far, created=sky.now // 1000) and state(bob).in_group
    second.poll()
    asked = linking.LinkRequest.make(bob.account, b"\x77" * 32, crowd[bytes(32)])  # type: ignore[arg-type]
    sky.put(bob.id, 21, asked.seal(bob.account, far.pair().x25519_public), HOUR)
    bob.poll()
    with pytest.raises(ValueError, match="at most 16 devices"):
        bob.run(device_steps.accept, asked.device_id)
    # Whoever should not be there can be removed.
    for each in crowd.keys() & state(bob).payload.devices.keys():
        bob.run(device_steps.remove, each)
    bob.push_devices()
    second.poll()
    assert set(state(second).payload.devices) == {state(bob).device_id, state(second).device_id}
    # A key of a far future is replaced in its time like any other.
    last = keys_of(bob)[0]
    sky.now += 13 * HOUR
    bob.push_devices()
    assert keys_of(bob)[0].created == sky.now // 1000 and keys_of(bob)[1].seed == last.seed


def test_a_group_without_a_key_gets_one(sky: Sky, bob: Device, second: Device) -> None:
    create(bob)
    link(second, bob)
    second.run(_without_keys)
    second.run(device_steps.leave)
    second.push_devices()
    bob.poll()
    assert state(second).standing is Standing.OUTSIDE
    assert state(second).device_id not in state(bob).payload.devices


def _without_keys(work: Work) -> None:
    found = DeviceState.load(work)
    found.payload = Payload(found.payload.entries, ())
    found.save(work)


def digest(work: Work) -> Any:
    """What the database's secrets are, not what they say."""
    return hashlib.sha256(work.database.secrets.get("device") or b"").hexdigest()


def test_who_never_turned_it_on_has_nothing_of_it(bob: Device) -> None:
    bob.poll()
    bob.push_devices()
    assert bob.run(inbound.namespaces)[-1] == 0 and 21 not in bob.run(inbound.namespaces)
    assert bob.run(digest) == hashlib.sha256(b"").hexdigest()
    assert bob.run(lambda work: work.settings) == Settings()
