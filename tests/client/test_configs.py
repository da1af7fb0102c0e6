"""Each config byte for byte as other clients write it, and whatever they or strangers store (`spec/configs`)."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allium.client import crypto
from allium.client.account import Account
from allium.client.configs import codec, wrapping
from allium.client.configs.base import Config
from allium.client.configs.community import Community, CommunityError, Server
from allium.client.configs.contacts import BlindedContact, Contact, Contacts
from allium.client.configs.convo_info_volatile import KEPT_MS, ConvoInfoVolatile, ReadState
from allium.client.configs.fields import Expiry, Notify, Picture
from allium.client.configs.group_info import GroupInfo
from allium.client.configs.group_members import GroupMembers, Member, Removal, Step
from allium.client.configs.message import EMPTY, ConfigError, read
from allium.client.configs.user_groups import Group, JoinedCommunity, Removed, UserGroups
from allium.client.configs.user_profile import ProCredential, UserProfile

ALICE, BOB = Account(bytes(range(16))), Account(b"\xff" * 16)
NOW = 1_700_000_000
NOW_MS = NOW * 1000
GROUP_SEED = bytes(range(0x20, 0x40))
GROUP_KEY, GROUP_SECRET = crypto.key_pair(GROUP_SEED)
GROUP_ID = "03" + GROUP_KEY.hex()
SUDOKU = Community.parse(f"https://Open.getsession.org:443/r/SudoKu?public_key={'a0' * 32}")

# `spec/configs` §3, the vector.
CONTACTS_PUSH = bytes.fromhex(
    "080112ab030a0012001aa20308062801429b03500522f8e3320d6e3a414da3abde82c0d14736f619c69baac749ac771e6b2718f6c4f5454b5a9648ed14b5f591"
    "3dfe1c5a4fc197ea904865f6b86f1afa7650bbf41581bd78b27dc06cc00598ca4eaff72a2d67b8e7732ef139568d24389d304ddc9c320ec8f70bd164304b3dc2"
    "95c71542325e9d615b60f8a545ce0b48e3c24e149385885433eed174f269f5f4d03f2d07e8b472034ddad4c059cdcc2bcedf2a414a98010e06a54c3431195799"
    "5fadcbe4d46da9e48a46013ab4e4202fd1ed4dc9e884438040eef176ea4aed6d8cf390c9316c576baa72d26ddaa82d8c25eae7163993769f654b0fdff788be46"
    "f2b0f36bceb2c13b01f8615369a210bebce9762ee0cec6ce3403744b81a7b1fb30c16b42945277d3b6408d9863212496ea2487679db510086fe66b5cff41e97f"
    "f5065eca1400da86133cd9ef3ec168e99929f475201ae90ef9c57fbcc5aacd406e29eebd1f7648294874b720a1614f94ca0e6f1454389dd1e2879fcfdadfd15c"
    "f0b4ace137feaeb08fecee4e430625113066583891dcb8db93992e93f1db7f97787b2cd54bfc52dd3851152c17be2000"
)


def bob() -> Contact:
    return Contact(
        BOB.account_id,
        name="Bob",
        approved=True,
        approved_me=True,
        priority=1,
        expiry=Expiry.AFTER_SEND,
        timer=86_400,
        created=NOW,
    )


def contacts(*entries: Contact) -> Contacts:
    config = Contacts(ALICE)
    for entry in entries:
        config.set(entry)
    return config


def test_the_empty_config_has_its_published_hash() -> None:
    assert EMPTY.encoded == b"d1:#i0e1:&de1:<le1:=dee"
    assert EMPTY.hash.hex() == "ea173b57beca8af18c3519a7bbf69c3e7a05d1c049fa9558341d8ebb48b0c965"


def test_contacts_are_pushed_with_the_published_bytes() -> None:
    push = contacts(bob()).push()
    assert (push.seqno, push.payloads, push.obsolete) == (1, [CONTACTS_PUSH], [])


@pytest.mark.parametrize("wraps", [0, 1, 2])
def test_a_config_is_read_raw_wrapped_and_wrapped_twice(wraps: int) -> None:
    payload = wrapping.unwrap(ALICE, CONTACTS_PUSH)
    for _ in range(wraps):
        payload = wrapping.wrap(ALICE, Contacts.KIND, 1, payload)
    config = Contacts(ALICE)
    result = config.merge([("hash", payload)])
    assert (result.merged, result.changed) == (["hash"], True)
    assert list(config) == [bob()]
    assert config.active_hashes == ["hash"]
    assert not config.needs_push


def test_groups_are_pushed_with_the_bytes_of_the_reference() -> None:
    config = UserGroups(ALICE)
    config.set_group(Group(group_id=GROUP_ID, name="Grp", seed=GROUP_SEED, joined=NOW, priority=3))
    other = "03" + BOB.ed25519_public.hex()
    config.set_group(Group(group_id=other, auth_data=b"\xcd" * 100, invited=True, notify=Notify.MENTIONS))
    config.set_community(JoinedCommunity(joined=NOW + 1, community=SUDOKU))
    digest = hashlib.sha256(config.push().payloads[0]).hexdigest()
    assert digest == "d0f2d5441eaef942f13dd8c4d295586861b62fdef50377784efedae423b5088c"
    removed = config.group(GROUP_ID)
    assert removed is not None
    removed.removed = Removed.KICKED
    config.set_group(removed)
    assert config.group(GROUP_ID) == Group(
        group_id=GROUP_ID, name="Grp", joined=NOW, priority=3, removed=Removed.KICKED
    )
    assert [each.community for each in config.communities()] == [SUDOKU]
    assert config.erase_community(SUDOKU.server.base_url, "SUDOKU")
    assert b"o" not in config.data


def test_900_contacts_are_two_messages_in_any_order() -> None:
    names = [hashlib.sha256(b"n%d" % each).hexdigest() for each in range(900)]
    ids = ["05" + hashlib.sha256(b"%d" % each).hexdigest() for each in range(900)]
    config = contacts(*(Contact(id_, name=name, approved=True) for id_, name in zip(ids, names, strict=True)))
    push = config.push()
    assert [len(payload) for payload in push.payloads] == [76_800, 10_380]
    digest = hashlib.sha256(b"".join(push.payloads)).hexdigest()
    assert digest == "8ca891f56b6921230554b6fd7735bdaa958dd59e0dc30a44953a0cb1814f58fa"
    other = Contacts(ALICE)
    assert not other.merge([("b", push.payloads[1])]).changed
    again = Contacts(ALICE)
    again.load(other.dump())
    assert again.merge([("a", push.payloads[0])]).changed
    assert [each.name for each in again] == [name for _, name in sorted(zip(ids, names, strict=True))]
    assert again.active_hashes == ["a", "b"]


def test_a_push_is_confirmed_and_what_it_replaces_is_obsolete() -> None:
    config = contacts(bob())
    assert config.needs_push and config.needs_dump
    config.confirm_pushed(config.push().seqno, ["one"])
    assert not config.needs_push
    config.set(Contact(BOB.account_id, name="Robert"))
    push = config.push()
    assert (push.seqno, push.obsolete) == (2, ["one"])
    config.set(Contact(BOB.account_id, name="Rob"))
    config.confirm_pushed(2, ["two"], deleted=["one"])
    assert config.needs_push, "the edit came after the push"
    push = config.push()
    assert (push.seqno, push.obsolete) == (3, ["two"])
    config.confirm_pushed(3, ["three"], deleted=["two"])
    assert (config.active_hashes, config.push().obsolete) == (["three"], [])
    config.lost("three")
    assert config.needs_push and config.push().seqno == 3


def test_what_does_not_change_needs_no_push() -> None:
    config = contacts(bob())
    config.confirm_pushed(config.push().seqno, ["one"])
    config.set(bob())
    assert not config.erase(ALICE.account_id)
    assert not config.needs_push


def test_unknown_keys_are_kept() -> None:
    config = contacts(bob())
    config._set((b"c", bytes.fromhex(BOB.account_id), b"zz"), {1, b"two"})
    config._set((b"newer",), {b"deep": {b"er": 5}})
    config.confirm_pushed(1, ["one"])
    other = Contacts(ALICE)
    other.merge([("one", config.push().payloads[0])])
    other.set(Contact(BOB.account_id, name="Robert"))
    assert other.data[b"newer"] == {b"deep": {b"er": 5}}
    entry = other._get(b"c", bytes.fromhex(BOB.account_id))
    assert entry == {b"n": b"Robert", b"zz": {1, b"two"}}


def test_a_dump_keeps_all_of_it_with_edits_under_way() -> None:
    config = contacts(bob())
    config.confirm_pushed(config.push().seqno, ["one"])
    config.set(Contact(BOB.account_id, name="Robert"))
    again = Contacts(ALICE)
    again.load(config.dump())
    assert again.needs_push and not again.needs_dump
    config.set(Contact(BOB.account_id, name="Rob"))
    again.set(Contact(BOB.account_id, name="Rob"))
    assert again.push() == config.push()


@given(st.binary(max_size=400))
def test_no_dump_breaks_the_loader(data: bytes) -> None:
    with pytest.raises(ConfigError):
        Contacts(ALICE).load(data)


# UserProfile


def test_profile_pictures_and_the_time_of_changes() -> None:
    config = UserProfile(ALICE)
    chosen, again = (
        Picture("http://filev2.getsession.org/file/1", b"\xab" * 32),
        Picture("http://other/2", b"\xcd" * 32),
    )
    config.set_name("Alice", NOW)
    config.set_picture(chosen, NOW + 1)
    assert (config.picture, config.updated) == (chosen, NOW + 1)
    config.set_reuploaded_picture(again, NOW + 2)
    assert (config.picture, config.data[b"t"]) == (again, NOW + 1)
    config.set_name("Alicia", NOW + 3)
    assert (config.picture, config.data[b"T"], config.data[b"t"]) == (again, NOW + 3, NOW + 1)
    config.set_picture(None, NOW + 4)
    assert config.picture is None
    assert not {b"p", b"q", b"P", b"Q"} & config.data.keys()
    with pytest.raises(ValueError, match="100 bytes"):
        config.set_name("é" * 51, NOW)


def test_a_pro_credential_is_one_string_and_older_times_are_milliseconds() -> None:
    config = UserProfile(ALICE)
    credential = ProCredential(NOW + 9, b"\1" * 32, b"\2" * 32, b"\3" * 64)
    config.set_pro_purchase_started(NOW, NOW)
    assert config.pro_renewal(NOW) == NOW
    config.set_pro_credential(credential, NOW)
    assert config.pro_credential == credential and config.pro_purchase_started(NOW) == 0
    config._set((b"E",), (NOW + 50) * 1000)
    assert config.pro_access_end == NOW + 50
    config._set((b"s",), {b"e": 1})
    assert config.pro_credential is None


def test_all_devices_renew_a_proof_at_the_same_time() -> None:
    config = UserProfile(ALICE)
    config.set_pro_access(NOW + 10_000_000, 0, True, NOW)
    border = (NOW // 604_800 + 1) * 604_800
    for expiry, expected in ((border + 7_200, border + 3_600), (border + 3_605, border - 25)):
        config.set_pro_credential(ProCredential(expiry, b"\1" * 32, b"\2" * 32, b"\3" * 64), NOW)
        assert config.pro_renewal(NOW) == expected
    assert config.pro_renewal(border - 5) == border + 55
    assert config.pro_renewal(border + 20) == border + 20


# Contacts


def test_nobody_is_their_own_contact_and_ids_are_ids() -> None:
    for account_id in (ALICE.account_id, "05abc", "03" + "0" * 64, "05" + "g" * 64):
        with pytest.raises(ValueError):
            Contacts(ALICE).set(Contact(account_id))


def test_blinded_contacts_lie_under_their_server() -> None:
    config = Contacts(ALICE)
    person = BlindedContact("15" + "12" * 32, SUDOKU.server, name="Eve", priority=2, created=NOW)
    config.set_blinded(person)
    config.set_blinded(BlindedContact("25" + "34" * 32, SUDOKU.server))
    assert config.data[b"b"] == {
        b"https://open.getsession.org": {
            b"#": b"\xa0" * 32,
            b"R": {
                b"12" * 32: {b"n": b"Eve", b"+": 2, b"j": NOW, b"y": 1},
                b"34" * 32: {b"n": b""},
            },
        }
    }
    assert next(config.blinded()) == person
    assert config.erase_blinded(SUDOKU.server, person.blinded_id)
    assert config.erase_blinded(SUDOKU.server, "25" + "34" * 32)
    assert config.data == {}


@given(
    st.recursive(
        st.integers(-5, 5) | st.binary(max_size=40),
        lambda deeper: (
            st.dictionaries(st.binary(max_size=34), deeper, max_size=3) | st.sets(st.integers(0, 3), min_size=1)
        ),
        max_leaves=12,
    )
)
def test_whatever_another_device_wrote_is_read_without_complaint(node: object) -> None:
    shapes = {
        b"n": node,
        b"p": node,
        b"q": b"\0" * 32,
        b"e": node,
        b"E": node,
        b"t": node,
        b"y": node,
        b"r": node,
        b"K": node,
    }
    key, group, url = bytes.fromhex(BOB.account_id), bytes.fromhex(GROUP_ID), b"http://h"
    room = {b"#": b"\0" * 32, b"R": {b"room": shapes, b"\xff": node, b"12" * 32: shapes}}
    data = {b"c": {key: shapes, b"x": node}, b"b": {url: room}, b"o": {url: room, b"\xff": node}, b"1": {key: shapes}}
    data |= {b"g": {group: shapes}, b"C": {key: {**shapes, b"m": node}}, b"m": {key: shapes}, b"n": node, b"s": node}
    for config in (Contacts(ALICE), UserGroups(ALICE), ConvoInfoVolatile(ALICE), UserProfile(ALICE)):
        config._data = data  # type: ignore[assignment]
        if isinstance(config, Contacts):
            assert len(list(config)) == 1
            list(config.blinded())
        elif isinstance(config, UserGroups):
            assert [each.group_id for each in config.groups()] == [GROUP_ID]
            assert [each.group_id for each in config.legacy_groups()] == [BOB.account_id]
            list(config.communities())
        elif isinstance(config, ConvoInfoVolatile):
            list(config.accounts())
            list(config.communities())
        else:
            assert config.picture is None or config.picture.key
            assert config.pro_credential is None
    members = GroupMembers(GROUP_KEY, [b"\0" * 32])
    members._data = data  # type: ignore[assignment]
    assert [each.account_id for each in members] == [BOB.account_id]


# ConvoInfoVolatile


def test_old_read_states_move_to_the_dump_and_come_back_when_touched() -> None:
    config = ConvoInfoVolatile(ALICE)
    config.set(BOB.account_id, ReadState(NOW_MS), NOW_MS)
    config.set(GROUP_ID, ReadState(NOW_MS, unread=True), NOW_MS)
    config.set_community(SUDOKU, ReadState(NOW_MS), NOW_MS)
    later = NOW_MS + KEPT_MS + 1
    push = config.prepare_push(later)
    assert read(codec.decode(wrapping.unwrap(ALICE, push.payloads[0]), config._keys, config.DOMAIN), None).data == {  # type: ignore[arg-type]
        b"g": {bytes.fromhex(GROUP_ID): {b"r": NOW_MS, b"u": 1}}
    }
    again = ConvoInfoVolatile(ALICE)
    again.load(config.dump())
    assert again.get(BOB.account_id) == ReadState(NOW_MS)
    assert [identifier for identifier, _ in again.accounts()] == [BOB.account_id, GROUP_ID]
    assert list(again.communities()) == [(Community(SUDOKU.server, "sudoku"), ReadState(NOW_MS))]
    again.set(BOB.account_id, ReadState(later), later)
    again.prepare_push(later)
    assert again.data[b"1"] == {bytes.fromhex(BOB.account_id): {b"r": later}}
    assert again.erase_community(SUDOKU.server.base_url, "SudoKu")
    assert list(again.communities()) == []


def test_blinded_read_states_know_their_blinding() -> None:
    config = ConvoInfoVolatile(ALICE)
    config.set("15" + "12" * 32, ReadState(NOW_MS, pro=(NOW, b"\7" * 32)), NOW_MS)
    assert config.data == {b"b": {b"\x12" * 32: {b"r": NOW_MS, b"e": NOW, b"g": b"\7" * 32, b"y": 1}}}
    assert config.get("25" + "12" * 32) is None
    assert config.get("15" + "12" * 32) == ReadState(NOW_MS, pro=(NOW, b"\7" * 32))


# Communities' URLs


@pytest.mark.parametrize(
    "url",
    [
        f"https://open.getsession.org/SudoKu?public_key={'a0' * 32}",
        f"https://open.getsession.org:443/r/SudoKu?public_key={'A0' * 32}",
        "HTTPS://OPEN.getsession.org/SudoKu/?public_key=oKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKA",
        f"https://open.getsession.org/SudoKu?public_key={'wnoy' + 'wnoy' * 12}",
    ],
)
def test_community_urls_in_every_form(url: str) -> None:
    community = Community.parse(url)
    assert (community.server.base_url, community.room, community.key) == (
        "https://open.getsession.org",
        "SudoKu",
        "sudoku",
    )
    if "wnoy" not in url:
        assert community == SUDOKU


@given(st.text(max_size=120))
def test_no_text_breaks_the_reader_of_urls(text: str) -> None:
    for url in (text, f"https://h/{text}?public_key={'a0' * 32}", f"http://{text}/room?public_key={'a0' * 32}"):
        try:
            community = Community.parse(url)
        except CommunityError:
            continue
        assert Community.parse(community.url) == community


# Groups' configs


def test_only_an_admin_writes_and_only_signed_messages_are_read() -> None:
    admin = GroupInfo(GROUP_KEY, [b"\1" * 32], GROUP_SECRET)
    admin.name, admin.description, admin.timer = "Group", "about", 3_600
    payload = admin.push().payloads[0]
    member = GroupInfo(GROUP_KEY, [b"\2" * 32, b"\1" * 32])
    assert member.merge([("h", payload)]).merged == ["h"]
    assert (member.name, member.description, member.timer, member.needs_push) == ("Group", "about", 3_600, False)
    with pytest.raises(ConfigError, match="only who can sign"):
        member.name = "Mine"
    forger = GroupInfo(GROUP_KEY, [b"\1" * 32], BOB.ed25519_secret)
    forger.name = "Forged"
    assert member.merge([("f", forger.push().payloads[0])]).unread == ["f"]
    plain = Config([b"\1" * 32])
    plain.DOMAIN = GroupInfo.DOMAIN  # type: ignore[misc]
    plain._set((b"n",), b"unsigned")
    assert member.merge([("u", plain.push().payloads[0])]).unread == ["u"]
    assert member.name == "Group"


def test_a_re_key_writes_everything_under_the_new_key() -> None:
    admin = GroupMembers(GROUP_KEY, [b"\1" * 32], GROUP_SECRET)
    admin.set(Member(ALICE.account_id, "Alice", admin=True))
    admin.confirm_pushed(admin.push().seqno, ["one"])
    admin.set_keys([b"\2" * 32, b"\1" * 32], rekeyed=True)
    push = admin.push()
    assert (push.seqno, push.obsolete) == (2, ["one"])
    reader = GroupMembers(GROUP_KEY, [b"\2" * 32])
    reader.merge([("two", push.payloads[0])])
    assert [each.account_id for each in reader] == [ALICE.account_id]


def test_states_of_members() -> None:
    members = GroupMembers(GROUP_KEY, [b"\1" * 32], GROUP_SECRET)
    members.set(Member(BOB.account_id, "Bob", invite=Step.NOT_SENT, supplement=True))
    entry = members.data[b"m"]
    assert entry == {bytes.fromhex(BOB.account_id): {b"n": b"Bob", b"I": 3, b"s": 1}}
    bob = members.get(BOB.account_id)
    assert bob is not None and bob.state == "invitation not sent"
    bob.admin, bob.promotion, bob.invite = True, Step.SENT, Step.ACCEPTED
    members.set(bob)
    assert members.data[b"m"] == {bytes.fromhex(BOB.account_id): {b"n": b"Bob", b"A": 1, b"P": 1}}
    bob.removal = Removal.MEMBER_AND_MESSAGES
    members.set(bob)
    again = members.get(BOB.account_id)
    assert again is not None and again.state == "removed"
    assert members.erase(BOB.account_id) and len(members) == 0


# Strangers


@given(st.binary(max_size=600))
def test_no_bytes_break_a_merge(payload: bytes) -> None:
    config = Contacts(ALICE)
    assert config.merge([("h", payload)]).unread == ["h"]


@given(st.binary(max_size=300), st.sampled_from([b"", b"z", b"d", b"m", b"d1:#i1e1:&de1:<le1:=de", b"ml32:"]))
def test_nothing_that_was_encrypted_breaks_a_merge(inner: bytes, start: bytes) -> None:
    config = Contacts(ALICE)
    payload = codec.encrypt(codec.pad(start + inner), config._keys[0], config.DOMAIN)
    config.merge([("h", payload)])
    assert list(config) == []


def test_a_bomb_of_zeros_is_refused() -> None:
    config = Contacts(ALICE)
    bomb = b"z" + codec.compress(bytes(codec.MAX_PLAINTEXT + 1))
    assert len(bomb) < 2_000
    assert config.merge([("h", codec.encrypt(codec.pad(bomb), config._keys[0], config.DOMAIN))]).unread == ["h"]


def test_a_server_is_parsed_with_its_key() -> None:
    assert Server.parse("http://Host:80/", b"\1" * 32) == Server("http://host", b"\1" * 32)
    with pytest.raises(CommunityError):
        Server.parse("http://host", b"short")
