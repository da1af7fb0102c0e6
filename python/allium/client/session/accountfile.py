"""An account and its database on disk: made, opened, and what of the network is remembered."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from allium.base import files
from allium.client.account import Account
from allium.client.crypto import SEED_BYTES
from allium.client.database import Database, DatabaseError
from allium.client.pool import Snode
from allium.client.session import actions, inbound, keyfile
from allium.client.session.core import Core, Work
from allium.client.words import ENTROPY_BYTES

_SEED, _SEEDS = "seed", "seeds"


@dataclass(frozen=True)
class Opened:
    """What an open file gives."""

    account: Account
    database: Database
    seeds: tuple[str, ...]


def make(path: Path, account: Account, seeds: tuple[str, ...], password: str | None, name: str | None) -> Database:
    """A new file; without a name the account is one that was made elsewhere. `DatabaseError` if there is one already.

    The file is taken for an account's once all is in it: what a crash left half-made is made again.
    """
    if not seeds:
        raise ValueError("a session needs the URL of at least one seed")
    database = _new(path, account, password)
    try:
        core = Core(account, database, actions.local_now)
        core.run(_fill, seeds, name)
    except BaseException:
        database.close()
        raise
    return database


def _new(path: Path, account: Account, password: str | None) -> Database:
    taken = DatabaseError(f"there is an account in {path} already; open it, or name another file")
    beside = keyfile.path_of(path)
    if path.exists():
        if not beside.exists():
            raise taken
        try:
            database = Database.open(path, keyfile.read(path, password, account))
        except (keyfile.KeyFileError, DatabaseError):
            raise taken from None
        if database.facts.get(_SEED) is not None:
            database.close()
            raise taken
        return database
    key = keyfile.new_key()
    try:
        files.make_directory(path.parent)
        keyfile.write(path, key, account, password)
    except OSError as error:
        raise DatabaseError(f"{beside} cannot be written ({error.strerror}); name another file") from None
    return Database.open(path, key)


def _fill(work: Work, seeds: tuple[str, ...], name: str | None) -> None:
    if name is None:
        inbound.start_restoring(work)
    else:
        work.configs.profile.set_name(name, work.seconds)
    work.database.facts.set(_SEEDS, json.dumps(seeds).encode())
    work.database.facts.set(_SEED, work.account.ed25519_secret[:SEED_BYTES])


def load(path: Path, password: str | None, phrase: str | None, seeds: Sequence[str] | None) -> Opened:
    """An existing file. With a phrase and a password, the password is the new one."""
    owner = None if phrase is None else Account.from_phrase(phrase)
    if not path.exists():
        raise DatabaseError(f"there is no account in {path}; create one, or restore it from its recovery phrase")
    key = keyfile.read(path, password, owner)
    database = Database.open(path, key)
    try:
        account = _account(path, database)
        if owner is not None and password is not None:
            keyfile.write(path, key, account, password)
        if seeds is not None:
            database.facts.set(_SEEDS, json.dumps(list(seeds)).encode())
        stored = json.loads(database.facts.get(_SEEDS) or b"[]")
        return Opened(account, database, tuple(str(each) for each in stored))
    except BaseException:
        database.close()
        raise


def _account(path: Path, database: Database) -> Account:
    seed = database.facts.get(_SEED)
    if seed is None:
        raise DatabaseError(f"{path} holds no account: making it was interrupted; make it again")
    if any(seed[ENTROPY_BYTES:]):
        return Account.from_seed(seed)
    return Account(seed[:ENTROPY_BYTES])


def remember(
    work: Work, nodes: Sequence[Snode], guards: Sequence[bytes], swarms: Mapping[str, Sequence[bytes]]
) -> None:
    """What is known of the network, for the next run."""
    if nodes:
        work.database.nodes.replace(nodes)
    if guards:
        work.database.nodes.set_guards(guards)
    for pubkey, members in swarms.items():
        work.database.nodes.set_swarm(pubkey, members)
