"""The four configs of an account, together: loaded, merged, pushed and dumped (`spec/configs` §6)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from allium.client.account import Account
from allium.client.configs.account_config import AccountConfig
from allium.client.configs.base import Push
from allium.client.configs.contacts import Contacts
from allium.client.configs.convo_info_volatile import ConvoInfoVolatile
from allium.client.configs.message import ConfigError
from allium.client.configs.user_groups import UserGroups
from allium.client.configs.user_profile import UserProfile
from allium.client.messages.kinds import Profile

#: In the order in which what was retrieved is applied: read states refer to conversations, so they come last.
NAMESPACES = (UserProfile.NAMESPACE, Contacts.NAMESPACE, UserGroups.NAMESPACE, ConvoInfoVolatile.NAMESPACE)


@dataclass(frozen=True)
class ConfigPush:
    """One config that is to be stored."""

    namespace: int
    push: Push
    #: What it is after `push`, so that a crash before it is confirmed repeats these very bytes.
    dump: bytes


class AccountConfigs:
    """UserProfile, Contacts, UserGroups and ConvoInfoVolatile."""

    def __init__(self, account: Account) -> None:
        self.profile = UserProfile(account)
        self.contacts = Contacts(account)
        self.groups = UserGroups(account)
        self.volatile = ConvoInfoVolatile(account)

    def __iter__(self) -> Iterator[AccountConfig]:
        return iter((self.profile, self.contacts, self.groups, self.volatile))

    def __getitem__(self, namespace: int) -> AccountConfig:
        return next(each for each in self if namespace == each.NAMESPACE)

    def load(self, stored: Mapping[int, bytes]) -> list[int]:
        """Becomes what was dumped; the namespaces whose dump could not be read, and that begin empty."""
        poor: list[int] = []
        for config in self:
            if (dump := stored.get(config.NAMESPACE)) is not None:
                try:
                    config.load(dump)
                except ConfigError:
                    poor.append(config.NAMESPACE)
        return poor

    def dirty(self) -> dict[int, bytes]:
        """Dumps of those that changed since their last one."""
        return {config.NAMESPACE: config.dump() for config in self if config.needs_dump}

    @property
    def shown_profile(self) -> Profile:
        """What our messages say of us."""
        picture = self.profile.picture
        url, key = (picture.url, picture.key) if picture else ("", b"")
        return Profile(self.profile.name, url, key, self.profile.updated)

    @property
    def needs_push(self) -> bool:
        """Whether any has something that is not in the swarm."""
        return any(config.needs_push for config in self)

    @property
    def active_hashes(self) -> list[str]:
        """Storage hashes of all that has to stay in the swarm."""
        return [hash_ for config in self for hash_ in config.active_hashes]

    def pushes(self, now: int, failed: Callable[[int, ConfigError], None]) -> list[ConfigPush]:
        """What to store now (Unix milliseconds); a config that is too large is told to `failed`, and hides no other."""
        result: list[ConfigPush] = []
        for config in self:
            if not config.needs_push:
                continue
            try:
                push = config.prepare_push(now) if isinstance(config, ConvoInfoVolatile) else config.push()
            except ConfigError as error:
                failed(config.NAMESPACE, error)
                continue
            result.append(ConfigPush(config.NAMESPACE, push, config.dump()))
        return result

    def lost(self, hashes: Sequence[str]) -> None:
        """The swarm has none of these any more: what they were is pushed again."""
        for hash_ in hashes:
            for config in self:
                config.lost(hash_)
