"""One group as one account has it: keys, info, members, and what is still to be done (`spec/groups`).

No clock and no network are in here. What was retrieved goes into `merge`; what has to be stored comes out as a `Plan`;
how that went, `confirm` or `failed` is told. Actions are in `flows` and `membership`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import IntEnum

from allium.client import bencode
from allium.client.account import Account
from allium.client.bencode import Value
from allium.client.configs.group_info import GroupInfo
from allium.client.configs.group_members import GroupMembers, Member, Step
from allium.client.groups import envelope, inbound, keys, kicked, subaccounts
from allium.client.groups.changes import GroupChanges, Retrieved
from allium.client.groups.identity import GroupIdentity
from allium.client.groups.keys import GroupKeys, KeysError
from allium.client.groups.plan import DeleteStep, Plan, StoreStep
from allium.client.groups.plan import Step as PlanStep
from allium.client.groups.waiting import Waiting, WaitingMessage
from allium.client.messages.delivery import CONFIG_TTL
from allium.client.messages.kinds import Profile

MESSAGES = envelope.NAMESPACE
KEYS, INFO, MEMBERS, KICKED = keys.NAMESPACE, GroupInfo.NAMESPACE, GroupMembers.NAMESPACE, kicked.NAMESPACE
#: In the order in which they are asked for, and in which each depends on the ones before.
NAMESPACES = (KICKED, MESSAGES, INFO, MEMBERS, KEYS)
_VERSION = 1


class Errand(IntEnum):
    """What this device has to tell an account, once the group's swarm knows of it."""

    INVITE = 1
    PROMOTE = 2


class GroupState:
    """A group. Not thread-safe."""

    def __init__(self, account: Account, group: GroupIdentity) -> None:
        """An empty one of an account; `merge` or `load` fill it. Who has the group's seed is an admin."""
        self.account = account
        self.group = group
        self.keys = GroupKeys(account, group)
        secret = group.secret if group.seed is not None else None
        self.info = GroupInfo(group.public, [], secret)
        self.members = GroupMembers(group.public, [], secret)
        #: What goes with updates of ours.
        self.profile: Profile | None = None
        #: Account ID -> what it is to be told, by us.
        self.errands: dict[str, Errand] = {}
        #: Whether the admins are still to hear that we accepted.
        self.owes_response = False
        #: Account ID -> when its last letter was sent, in Unix milliseconds.
        self.heard: dict[str, int] = {}
        self._waiting = Waiting()
        #: Notices to removed members that came before any key did.
        self._notices: list[bytes] = []
        self._rekey = False
        #: Whether the last poll found a key that is not the members'; what would explain it may still be on its way.
        self._misfit = False
        self._changed = False

    # What it is

    @property
    def group_id(self) -> str:
        """03 and 64 digits."""
        return self.group.group_id

    @property
    def is_admin(self) -> bool:
        """Whether we have the group's seed."""
        return self.group.seed is not None

    @property
    def own(self) -> Member | None:
        """Our entry among the members; None if there is none, or it is not known."""
        return self.members.get(self.account.account_id)

    @property
    def other_admins(self) -> list[str]:
        """Account IDs of who else is an admin, or was asked to be one."""
        return [each.account_id for each in self.members if each.admin and each.account_id != self.account.account_id]

    @property
    def active_hashes(self) -> list[str]:
        """Storage hashes of what has to stay in the swarm: renew these."""
        return [*self.keys.active_hashes, *self.info.active_hashes, *self.members.active_hashes]

    @property
    def is_expired(self) -> bool:
        """Whether the swarm had nothing for us: no key is known."""
        return self.keys.generation < 0

    def require_admin(self) -> None:
        """`ValueError` unless we are an admin, and the group goes on."""
        if not self.is_admin:
            raise ValueError("only an admin can do this")
        if self.info.destroyed:
            raise ValueError("the group was ended")

    def promote(self, seed: bytes) -> None:
        """We are an admin; `ValueError` for a seed of another group."""
        self.group = GroupIdentity.parse(self.group_id, seed)
        self.keys.promote(self.group)
        self.info.promote(self.group.secret)
        self.members.promote(self.group.secret)
        self._changed = True

    # In

    def merge(self, received: Iterable[Retrieved], *, complete: bool = True) -> GroupChanges:
        """Takes what was retrieved, in any order, any number of times; nothing of it raises.

        `complete` says that every namespace of the group was asked for and answered.
        """
        by_namespace: dict[int, list[WaitingMessage]] = {each: [] for each in NAMESPACES}
        for message in received:
            if message.namespace in by_namespace:
                by_namespace[message.namespace].append(
                    WaitingMessage(message.namespace, message.hash, message.data, message.timestamp)
                )
        changes = GroupChanges()
        if any(by_namespace.values()) or self._notices or self._misfit:
            self._merge(by_namespace, changes, complete)
        return changes

    def _merge(self, by_namespace: dict[int, list[WaitingMessage]], changes: GroupChanges, complete: bool) -> None:
        before = self.keys.keys
        self._load_keys(by_namespace[KEYS], changes)
        changes.keys = self.keys.keys != before
        if changes.keys:
            for message in list(self._waiting):
                self._waiting.remove(message.hash)
                by_namespace[message.namespace].append(message)
        members_before = {each.account_id: each for each in self.members}
        destroyed = self.info.destroyed
        self._merge_config(self.info, by_namespace[INFO], changes)
        self._merge_config(self.members, by_namespace[MEMBERS], changes)
        inbound.take(self, by_namespace[MESSAGES], changes)
        self._take_notices(by_namespace[KICKED], changes, complete)
        if self.is_admin and not changes.kicked and not self.info.destroyed:
            self._settle(complete)
        changes.members = members_before != {each.account_id: each for each in self.members}
        changes.destroyed = self.info.destroyed and not destroyed

    def _load_keys(self, messages: list[WaitingMessage], changes: GroupChanges) -> None:
        pending = self.keys.pending
        for message in messages:
            try:
                self.keys.load(message.hash, message.data, message.timestamp)
            except KeysError:
                changes.refused.append(message.hash)
        if pending is not None and self.keys.pending is None:
            self._changed = True
        self._set_keys()

    def _set_keys(self, *, rekeyed: bool = False) -> None:
        self.info.set_keys(self.keys.keys, rekeyed=rekeyed)
        self.members.set_keys(self.keys.keys, rekeyed=rekeyed)

    def _merge_config(
        self, config: GroupInfo | GroupMembers, messages: list[WaitingMessage], changes: GroupChanges
    ) -> None:
        result = config.merge([(each.hash, each.data) for each in messages])
        unread = set(result.unread)
        for message in messages:
            if message.hash in unread:
                self.wait(message, changes)
        changes.info |= result.changed and config is self.info

    def wait(self, message: WaitingMessage, changes: GroupChanges) -> None:
        """Keeps what no key opens yet."""
        changes.waiting.append(message.hash)
        self._changed |= self._waiting.add(message)

    def _take_notices(self, messages: list[WaitingMessage], changes: GroupChanges, complete: bool) -> None:
        notices = [*self._notices, *(each.data for each in messages)]
        # Before we have a key, an old notice cannot be told from a new one.
        if self.is_expired and not complete:
            self._changed |= bool(messages)
            self._notices = notices[-kicked.MOST_KEPT :]
            return
        self._notices = []
        changes.kicked = any(
            kicked.is_for(self.group, self.account, notice, self.keys.generation) for notice in notices
        )

    # What an admin's device does by itself

    def _settle(self, complete: bool) -> None:
        own = self.own
        if own is not None and (not own.admin or own.promotion):
            own.admin, own.promotion = True, Step.ACCEPTED
            self.members.set(own)
        if not complete or own is None or self.keys.pending is not None:
            return
        misfit = not self._key_fits()
        self._rekey |= self.keys.needs_rekey or (misfit and self._misfit)
        self._misfit = misfit

    def _key_fits(self) -> bool:
        """Whether the current key is the one of the members there are; of who is being removed either is right."""
        everyone = [each.account_id for each in self.members]
        return self.keys.is_for(everyone) or self.keys.is_for(self.remaining)

    @property
    def remaining(self) -> list[str]:
        """Account IDs of the members who are not being removed."""
        return [each.account_id for each in self.members if not each.removal]

    @property
    def removals(self) -> list[Member]:
        """Members who are to be removed, by any admin but themselves."""
        return [each for each in self.members if each.removal and each.account_id != self.account.account_id]

    @property
    def needs_rekey(self) -> bool:
        """Whether the current key is not, or not only, the members'."""
        return self._rekey

    def rekey(self) -> None:
        """A new key for the members there are; info and members will be written anew under it."""
        self.keys.rekey(self.remaining)
        self._set_keys(rekeyed=True)
        self._rekey = self._misfit = False
        self._changed = True

    def lost(self, hashes: Iterable[str]) -> None:
        """The swarm no longer has these of `active_hashes` (`spec/configs` §14)."""
        for each in hashes:
            if self.keys.lost(each) and self.is_admin:
                self._rekey = True
            self.info.lost(each)
            self.members.lost(each)
        self._changed = True

    # Out

    @property
    def needs_push(self) -> bool:
        """Whether something of ours is not, as far as is known, in the swarm."""
        return self.is_admin and (self.keys.pending is not None or self.info.needs_push or self.members.needs_push)

    def push(
        self,
        now: int,
        *,
        supplement: bytes | None = None,
        letters: Sequence[StoreStep] = (),
        after: Sequence[PlanStep] = (),
        invited: Sequence[str] = (),
    ) -> Plan:
        """Everything that is not stored yet, keys first so that who reads it can open what follows.

        `now` is in Unix milliseconds. `letters` follow the configs, `after` comes last.
        """
        steps: list[PlanStep] = []
        obsolete: list[str] = []
        seqnos: dict[int, int] = {}
        for payload in (supplement, self.keys.pending if self.is_admin else None):
            if payload is not None:
                steps.append(StoreStep(KEYS, payload, CONFIG_TTL, now))
        for config in (self.info, self.members):
            if config.needs_push:
                pushed = config.push()
                steps += [StoreStep(config.NAMESPACE, each, CONFIG_TTL, now) for each in pushed.payloads]
                obsolete += pushed.obsolete
                seqnos[config.NAMESPACE] = pushed.seqno
        steps += letters
        if obsolete:
            steps.append(DeleteStep(tuple(obsolete)))
        return Plan((*steps, *after), seqnos, invited=tuple(invited))

    def confirm(self, plan: Plan, hashes: Sequence[str]) -> None:
        """Every step of a plan was done; `hashes` are of `plan.stores`, in their order."""
        stored = list(zip(plan.stores, hashes, strict=True))
        deleted = [each for step in plan.steps if isinstance(step, DeleteStep) for each in step.hashes]
        for step, storage_hash in stored:
            if step.namespace == KEYS and step.data == self.keys.pending:
                self.keys.load(storage_hash, step.data, step.timestamp)
        for config in (self.info, self.members):
            if config.NAMESPACE in plan.seqnos:
                found = [name for step, name in stored if step.namespace == config.NAMESPACE]
                config.confirm_pushed(plan.seqnos[config.NAMESPACE], found, deleted=deleted)
        for account_id in plan.removed:
            self.members.erase(account_id)
            self.heard.pop(account_id, None)
            self.errands.pop(account_id, None)
        if plan.removed:
            self.rekey()
        if plan.responds:
            self.owes_response = False
        self._changed = True

    def failed(self, plan: Plan) -> None:
        """A plan was not done, or nobody knows whether it was; what it had to store is still to be stored."""
        for account_id in plan.invited:
            self.told(account_id, done=False)

    def told(self, account_id: str, *, done: bool) -> None:
        """An errand was done, or it failed for now."""
        errand = self.errands.pop(account_id, None)
        member = self.members.get(account_id)
        self._changed = True
        if errand is None or member is None or member.removal or not self.is_admin:
            return
        if errand is Errand.PROMOTE:
            # It may have accepted already.
            member.promotion = member.promotion and (Step.SENT if done else Step.FAILED)
        else:
            member.invite = member.invite and (Step.SENT if done else Step.FAILED)
        self.members.set(member)

    def owe_response(self, owed: bool) -> None:
        """Whether the admins are still to hear that we accepted."""
        self._changed = True
        self.owes_response = owed

    def token(self, account_id: str) -> bytes:
        """The subaccount of a member (36 bytes), as an admin makes it."""
        return subaccounts.token(self.group, account_id)

    # Keeping it

    @property
    def needs_dump(self) -> bool:
        """Whether something changed since `dump`."""
        return self._changed or self.keys.needs_dump or self.info.needs_dump or self.members.needs_dump

    def dump(self) -> dict[int, bytes]:
        """All of it by namespace, for `load`; it holds secrets, and is not encrypted."""
        self._changed = False
        known = {each.account_id for each in self.members}
        rest: dict[bytes, Value] = {
            b"": _VERSION,
            b"errands": {name.encode(): int(each) for name, each in self.errands.items()},
            b"misfit": int(self._misfit),
            b"heard": {name.encode(): each for name, each in self.heard.items() if name in known},
            b"notices": list(self._notices),
            b"rekey": int(self._rekey),
            b"response": int(self.owes_response),
            b"waiting": self._waiting.dumped(),
        }
        return {
            MESSAGES: bencode.encode(rest),
            KEYS: self.keys.dump(),
            INFO: self.info.dump(),
            MEMBERS: self.members.dump(),
        }

    def load(self, dumped: Mapping[int, bytes]) -> None:
        """Becomes what was dumped; `KeysError` or `ConfigError` if that cannot be read."""
        if KEYS in dumped:
            self.keys.restore(dumped[KEYS])
        self._set_keys()
        if INFO in dumped:
            self.info.load(dumped[INFO])
        if MEMBERS in dumped:
            self.members.load(dumped[MEMBERS])
        self._load_rest(dumped.get(MESSAGES, b"de"))
        self._changed = False

    def _load_rest(self, dump: bytes) -> None:
        try:
            rest = bencode.decode_dict(dump)
        except bencode.BencodeError:
            rest = {}
        errands, heard, notices = rest.get(b"errands"), rest.get(b"heard"), rest.get(b"notices")
        for name, errand in errands.items() if isinstance(errands, dict) else ():
            if errand in (Errand.INVITE, Errand.PROMOTE):
                self.errands[name.decode("utf-8", "replace")] = Errand(int(errand))
        for name, when in heard.items() if isinstance(heard, dict) else ():
            if isinstance(when, int):
                self.heard[name.decode("utf-8", "replace")] = when
        self._notices = [each for each in notices if isinstance(each, bytes)] if isinstance(notices, list) else []
        self._rekey = bool(rest.get(b"rekey"))
        self._misfit = bool(rest.get(b"misfit"))
        self.owes_response = bool(rest.get(b"response"))
        self._waiting.load(rest.get(b"waiting", []))
