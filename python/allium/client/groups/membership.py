"""How a group's members come, rise and go: what an admin's device does, step by step (`spec/groups` §7)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from allium.client.account import Account, account_key
from allium.client.configs.fields import Picture, truncated
from allium.client.configs.group_members import Member, Removal, Step
from allium.client.groups import kicked
from allium.client.groups.identity import MAX_MEMBERS, GroupIdentity
from allium.client.groups.letters import all_updates, disappearing, sealed
from allium.client.groups.plan import DeleteAllStep, Plan, RevokeStep, StoreStep, UnrevokeStep
from allium.client.groups.plan import Step as PlanStep
from allium.client.groups.state import KICKED, MESSAGES, Errand, GroupState
from allium.client.messages import updates
from allium.client.messages.delivery import CONFIG_TTL
from allium.client.messages.kinds import GroupUpdateMessage, Letter
from allium.client.messages.updates import MemberKind

#: Nodes take no more tokens at once, and remember no more.
MAX_REVOKED = 50


@dataclass(frozen=True)
class Invitee:
    """Who is to be invited, as contacts know it."""

    account_id: str
    name: str = ""
    picture: Picture | None = None


def create(
    account: Account,
    seed: bytes,
    name: str,
    invitees: Sequence[Invitee],
    now: int,
    *,
    own_name: str = "",
    description: str = "",
) -> tuple[GroupState, Plan]:
    """A new group of a fresh seed (32 bytes); `now` is in Unix milliseconds.

    `ValueError` for an empty or too long name, a bad Account ID, or too many members.
    """
    if not name.strip():
        raise ValueError("a group has a name")
    state = GroupState(account, GroupIdentity.of_seed(seed))
    state.info.name, state.info.created = name, now // 1000
    if description:
        state.info.description = description
    state.members.set(Member(account.account_id, truncated(own_name), admin=True))
    for invitee in _checked(state, invitees):
        state.members.set(_invited(invitee, history=False))
        state.errands[invitee.account_id.lower()] = Errand.INVITE
    state.rekey()
    return state, state.push(now, invited=list(state.errands))


def invite(
    state: GroupState,
    invitees: Sequence[Invitee],
    now: int,
    *,
    history: bool = False,
    with_history: Sequence[Invitee] = (),
) -> Plan:
    """Adds members; with `history` they, and else those `with_history`, can read what was written before.

    One push adds all of them. Then come `state.errands`.

    `ValueError` for a bad Account ID, a member, or too many of them, and of who is no admin.
    """
    state.require_admin()
    added = _checked(state, [*invitees, *with_history])
    ids = [each.account_id.lower() for each in added]
    named = {each.account_id.lower() for each in with_history}
    informed = [each for each in ids if history or each in named]
    # The keys of before are given out before there is a new one, which the new members get anyway.
    supplement = state.keys.supplement(informed) if informed else None
    for invitee, account_id in zip(added, ids, strict=True):
        state.members.set(_invited(invitee, history=account_id in informed))
        state.errands[account_id] = Errand.INVITE
    state.rekey()
    told = (([each for each in ids if each not in informed], False), (informed, True))
    notices = [updates.MemberChange(MemberKind.ADDED, tuple(some), history_shared=yes) for some, yes in told if some]
    unrevoked = UnrevokeStep(tuple(state.token(each) for each in ids))
    return state.push(
        now, supplement=supplement, letters=all_updates(state, notices, now), after=[unrevoked], invited=ids
    )


def resend(state: GroupState, account_id: str, now: int) -> Plan:
    """Invites or promotes once more who has not accepted; `ValueError` for who has, or is no member."""
    state.require_admin()
    member = _member(state, account_id)
    if member.promotion:
        state.errands[member.account_id] = Errand.PROMOTE
        member.promotion = Step.NOT_SENT
        state.members.set(member)
        return state.push(now)
    if not member.invite:
        raise ValueError("this member has accepted")
    state.errands[member.account_id] = Errand.INVITE
    member.invite = Step.NOT_SENT
    state.members.set(member)
    supplement = state.keys.supplement([member.account_id]) if member.supplement else None
    unrevoked = UnrevokeStep((state.token(member.account_id),))
    return state.push(now, supplement=supplement, after=[unrevoked], invited=[member.account_id])


def promote(state: GroupState, account_ids: Sequence[str], now: int) -> Plan:
    """Makes admins of members, which nobody can undo; `ValueError` for who is none, or is an admin."""
    state.require_admin()
    members = [_member(state, each) for each in account_ids]
    if any(each.admin and not each.promotion for each in members):
        raise ValueError("this member is an admin")
    for member in members:
        member.admin, member.promotion = True, Step.NOT_SENT
        state.members.set(member)
        state.errands[member.account_id] = Errand.PROMOTE
    notice = updates.MemberChange(MemberKind.PROMOTED, tuple(each.account_id for each in members))
    return state.push(now, letters=all_updates(state, [notice], now))


def remove(state: GroupState, account_ids: Sequence[str], now: int, *, messages: bool = False) -> Plan:
    """Marks members as to be removed, with their messages or without; `due` does the rest.

    `ValueError` for who is no member, for admins, who have the group's seed, and for ourselves.
    """
    state.require_admin()
    members = [_member(state, each) for each in account_ids]
    if any(each.admin for each in members):
        raise ValueError("an admin cannot be removed")
    for member in members:
        member.removal = Removal.MEMBER_AND_MESSAGES if messages else Removal.MEMBER
        state.members.set(member)
        state.errands.pop(member.account_id, None)
    notice = updates.MemberChange(MemberKind.REMOVED, tuple(each.account_id for each in members))
    return state.push(now, letters=all_updates(state, [notice], now))


def due(state: GroupState, now: int) -> Plan | None:
    """What our device, if it is an admin's, does next by itself; None when there is nothing left.

    Pushes what is not pushed, removes who is marked, and gives out a new key where two admins did so at once, or
    where the current one is not the members'. After each plan, and its `confirm`, ask again.
    """
    if not state.is_admin or state.is_expired:
        return None
    if state.needs_rekey and not state.info.destroyed:
        state.rekey()
    if state.needs_push:
        return state.push(now)
    if state.members.any_removal and not state.info.destroyed and state.removals:
        return _removal(state, now)
    return None


def _removal(state: GroupState, now: int) -> Plan:
    leaving = state.removals[:MAX_REVOKED]
    ids = tuple(each.account_id for each in leaving)
    notice = kicked.seal(state.group, ids, state.keys.generation)
    steps: list[PlanStep] = [StoreStep(KICKED, notice, CONFIG_TTL, now)]
    steps.append(RevokeStep(tuple(state.token(each) for each in ids)))
    silenced = tuple(each.account_id for each in leaving if each.removal is Removal.MEMBER_AND_MESSAGES)
    if silenced:
        steps += all_updates(state, [updates.DeleteContent(silenced)], now)
    return Plan(tuple(steps), removed=ids)


def destroy(state: GroupState, now: int) -> Plan:
    """Puts an end to the group, and to what was written in it.

    Tokens stay good, or members could not read that it ended.
    """
    state.require_admin()
    state.info.destroy()
    state.errands.clear()
    return state.push(now, after=[DeleteAllStep(MESSAGES)])


def leave(state: GroupState, now: int) -> Plan:
    """Leaves: the members are told, and an admin's device removes us. It may be refused, if we are out already.

    `ValueError` of the last admin, without whom the group has to end (`destroy`).
    """
    if state.is_admin and not state.other_admins:
        raise ValueError("the last admin cannot leave: destroy the group")
    # What is shown disappears as texts do; what admins act on does not.
    shown = Letter(GroupUpdateMessage(updates.MemberLeftNotice(), state.profile), now, disappearing(state))
    told = all_updates(state, [updates.MemberLeft()], now + 1)
    return Plan((sealed(state, shown), *told), may_be_refused=True)


def respond(state: GroupState, now: int) -> Plan:
    """Tells the admins that we accepted."""
    return Plan(tuple(all_updates(state, [updates.InviteResponse(True)], now)), responds=True)


def _checked(state: GroupState, invitees: Iterable[Invitee]) -> list[Invitee]:
    unique = {each.account_id.lower(): each for each in invitees}
    for account_id in unique:
        account_key(account_id)
        state.token(account_id)
        member = state.members.get(account_id)
        if member is not None and not member.removal:
            raise ValueError("this is a member already")
    if len({*unique, *(each.account_id for each in state.members)}) > MAX_MEMBERS:
        raise ValueError(f"a group has at most {MAX_MEMBERS} members")
    return list(unique.values())


def _invited(invitee: Invitee, *, history: bool) -> Member:
    return Member(
        invitee.account_id.lower(),
        truncated(invitee.name),
        invitee.picture,
        invite=Step.NOT_SENT,
        supplement=history,
    )


def _member(state: GroupState, account_id: str) -> Member:
    member = state.members.get(account_id)
    if member is None or member.removal:
        raise ValueError("this is no member")
    if member.account_id == state.account.account_id:
        raise ValueError("this is oneself")
    return member
