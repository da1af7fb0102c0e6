"""What is known of people: profiles with their newer-wins rule, approvals, blocks (`spec/messages` §2.1, §5)."""

from __future__ import annotations

from allium.client.configs.contacts import Contact
from allium.client.configs.fields import Expiry, Picture
from allium.client.messages import text
from allium.client.messages.kinds import Disappear, Disappearing, Profile
from allium.client.session.core import Work
from allium.client.session.events import ContactChanged, RequestAccepted

#: How many people who only asked are in Contacts, which has to stay small enough for all devices. More of them are
#: conversations like any other, on this device.
MAX_REQUESTS = 200
#: What a message can say, in seconds.
MAX_TIMER = (1 << 32) - 1


def contact_of(work: Work, account_id: str) -> Contact | None:
    """The contact; None if there is none, or for no Account ID."""
    if account_id == work.own_id or not account_id.startswith("05"):
        return None
    try:
        return work.configs.contacts.get(account_id)
    except ValueError:
        return None


def heard_from(work: Work, account_id: str, profile: Profile | None) -> Contact | None:
    """Any message of somebody's: they approve us, and are what they say they are. The contact, if they are one now."""
    contact = contact_of(work, account_id)
    if contact is None:
        if sum(not each.approved for each in work.configs.contacts) >= MAX_REQUESTS:
            return None
        contact = Contact(account_id, created=work.seconds)
    before = _copy(contact)
    if contact.approved and not contact.approved_me:
        work.tell(RequestAccepted(account_id))
    contact.approved_me = True
    apply_profile(contact, profile, work.seconds)
    store(work, contact, before)
    return contact


def approve(work: Work, account_id: str) -> bool:
    """We write to somebody, or accept their request; whether that is news to them, who had asked.

    `ValueError` for who is blocked.
    """
    contact = contact_of(work, account_id) or Contact(account_id, created=work.seconds)
    if contact.blocked:
        raise ValueError("this contact is blocked; unblock them first")
    if contact.approved and contact.priority >= 0:
        return False
    before = _copy(contact)
    news = contact.approved_me and not contact.approved
    if contact.priority < 0:
        # A conversation that was deleted shows again, here as on the other devices.
        work.database.conversations.update(account_id, priority=0)
    contact.approved, contact.priority = True, max(contact.priority, 0)
    store(work, contact, before)
    return news


def apply_profile(contact: Contact, profile: Profile | None, seconds: int) -> None:
    """Takes a profile that is newer than what is known; one from the future counts as from now."""
    if profile is None:
        return
    updated = min(profile.updated, seconds)
    # Who says no time is of a client that is older than times: it wins while nothing better is known.
    if updated < contact.updated or (contact.updated and not updated):
        return
    contact.updated = updated
    contact.name = text.name(profile.name) or contact.name
    contact.picture = picture_of(profile)


def picture_of(profile: Profile) -> Picture | None:
    """The picture of a profile; None where there is none, or one that cannot be written."""
    try:
        return Picture(profile.picture_url, profile.picture_key) if profile.picture_url else None
    except ValueError:
        return None


def learn_profile(work: Work, account_id: str, profile: Profile | None) -> None:
    """Keeps what anybody says of themselves, contact or not."""
    if profile is not None:
        updated = min(profile.updated, work.seconds)
        cleaned = Profile(text.name(profile.name), profile.picture_url, profile.picture_key, updated)
        work.database.profiles.set(account_id, cleaned)


def is_mutual(work: Work, account_id: str) -> bool:
    """Whether both have approved each other, and nobody is blocked."""
    contact = contact_of(work, account_id)
    return contact is not None and contact.approved and contact.approved_me and not contact.blocked


def unhide(work: Work, conversation_id: str) -> None:
    """Something new came into a conversation: it shows again, on all devices."""
    if conversation_id == work.own_id:
        if work.configs.profile.note_to_self_priority < 0:
            work.configs.profile.note_to_self_priority = 0
            work.database.conversations.update(conversation_id, priority=0)
        return
    contact = contact_of(work, conversation_id)
    if contact is not None and contact.priority < 0:
        contact.priority = 0
        store(work, contact, None)
        work.database.conversations.update(conversation_id, priority=0)


def timer_of(work: Work, conversation_id: str) -> Disappearing | None:
    """The timer that our messages to a conversation get."""
    if conversation_id == work.own_id:
        seconds = work.configs.profile.note_to_self_timer
        return Disappearing(Disappear.AFTER_SEND, seconds) if seconds else None
    contact = contact_of(work, conversation_id)
    if contact is None or contact.expiry is Expiry.NONE or not contact.timer:
        return None
    return Disappearing(Disappear[contact.expiry.name], min(contact.timer, MAX_TIMER))


def set_timer(work: Work, conversation_id: str, timer: Disappearing | None) -> None:
    """Sets it in the config. `ValueError` for what that conversation cannot have."""
    if conversation_id == work.own_id:
        if timer is not None and timer.kind is not Disappear.AFTER_SEND:
            raise ValueError("notes to self disappear after they were sent")
        work.configs.profile.note_to_self_timer = timer.seconds if timer else 0
        return
    contact = contact_of(work, conversation_id)
    if contact is None:
        return
    before = _copy(contact)
    contact.expiry = Expiry[timer.kind.name] if timer else Expiry.NONE
    contact.timer = timer.seconds if timer else 0
    store(work, contact, before)


def store(work: Work, contact: Contact, before: Contact | None) -> None:
    """Writes a contact if it differs."""
    if contact != before:
        work.configs.contacts.set(contact)
        work.tell(ContactChanged(contact.account_id))


def _copy(contact: Contact) -> Contact:
    return Contact(**{name: getattr(contact, name) for name in contact.__dataclass_fields__})
