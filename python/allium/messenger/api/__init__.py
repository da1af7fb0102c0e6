"""Everything that can be asked, a module for each subject."""

from __future__ import annotations

from allium.messenger.api import (
    accounts,
    attachments,
    communities,
    contacts,
    conversations,
    gifs,
    groups,
    messages,
    pairing,
    profile,
    push,
    service,
    takeaway,
    voice,
)

#: The whole table.
OPERATIONS = [
    each
    for module in (
        service,
        pairing,
        accounts,
        profile,
        conversations,
        messages,
        attachments,
        gifs,
        contacts,
        groups,
        communities,
        takeaway,
        push,
        voice,
    )
    for each in module.table.all
]
