"""An account and its database on disk: made, opened, and what of the network is remembered.

With a password, that alone opens the database. Without one it is encrypted under the account's own secret, and the
recovery phrase lies in a file beside it, for its owner alone, unless somebody else keeps it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from allium.base import files
from allium.client.account import Account
from allium.client.crypto import SEED_BYTES
from allium.client.database import Database, DatabaseError, archive, keys
from allium.client.phrase import decoded
from allium.client.pool import Snode, need_seed
from allium.client.session import actions, inbound
from allium.client.session.core import Core, Work
from allium.client.session.erasing import ERASING
from allium.client.words import ENTROPY_BYTES

_SEED, _SEEDS, _LISTED = "seed", "seeds", "nodes.listed"


@dataclass(frozen=True)
class Opened:
    """What an open file gives."""

    account: Account
    database: Database
    seeds: tuple[str, ...]
    #: When the list of nodes was a fresh one, Unix milliseconds; 0 if never.
    listed: int = 0


def phrase_file(path: Path) -> Path:
    """Where the recovery phrase lies, of a database that has no password."""
    return path.with_name(path.name + ".phrase")


def make(
    path: Path, account: Account, seeds: tuple[str, ...], password: str | None, name: str | None, keep_phrase: bool
) -> Opened:
    """A new file; without a name the account is one that was made elsewhere. `DatabaseError` if there is one already.

    The file is taken for an account's once all is in it: what a crash left half-made is made again.
    """
    need_seed(seeds)
    _clear(path, password, account)
    database = _new(path, account, password, keep_phrase)
    try:
        Core(account, database, actions.local_now).run(_fill, seeds, name)
    except BaseException:
        database.close()
        raise
    return Opened(account, database, seeds)


def _clear(path: Path, password: str | None, account: Account) -> None:
    """Removes what was never finished; `DatabaseError` for anything else."""
    if not path.exists():
        return
    try:
        kept = keys.has_password(path) or phrase_file(path).exists()
        database = _unlocked(path, password, None if kept else account)
        finished = database.facts.get(_SEED) is not None
        database.close()
    except DatabaseError:
        finished = True
    if finished:
        raise DatabaseError(f"there is something in {path} already; open it, or name another file")
    for each in (path, keys.key_file(path), phrase_file(path)):
        each.unlink(missing_ok=True)


def _new(path: Path, account: Account, password: str | None, keep_phrase: bool) -> Database:
    if password is not None:
        return keys.create(path, password)
    if keep_phrase:
        _keep(path, account)
    return Database.open(path, _key(account))


def _keep(path: Path, account: Account) -> None:
    beside = phrase_file(path)
    if beside.exists():
        # Whoever overwrites a phrase may have lost an account.
        if Account.from_phrase(decoded(beside.read_bytes())).account_id != account.account_id:
            raise DatabaseError(f"{beside} has the recovery phrase of another account; move it away")
        return
    try:
        files.make_directory(path.parent)
        files.create(beside, f"{account.phrase}\n".encode())
    except OSError as error:
        raise DatabaseError(f"{beside} cannot be written ({error.strerror}); name another file") from None


def _key(account: Account) -> bytes:
    return keys.from_secret(secret(account))


def _fill(work: Work, seeds: tuple[str, ...], name: str | None) -> None:
    if name is None:
        inbound.start_restoring(work)
    else:
        work.configs.profile.set_name(name, work.seconds)
    work.database.facts.set(_SEEDS, json.dumps(seeds).encode())
    work.database.facts.set(_SEED, work.account.ed25519_secret[:SEED_BYTES])


def load(path: Path, password: str | None, phrase: str | None, seeds: Sequence[str] | None) -> Opened:
    """An existing file; `DatabaseError` if it does not open. `seeds`, where given, take the place of those in it."""
    if seeds is not None:
        need_seed(seeds)
    if not path.exists():
        raise DatabaseError(f"there is no account in {path}; create one, or restore it from its recovery phrase")
    database = _unlocked(path, password, None if phrase is None else Account.from_phrase(phrase))
    try:
        if database.facts.get(ERASING) is not None:
            raise DatabaseError(f"the account in {path} was deleted from the network; remove the file")
        account = _account(path, database.facts.get(_SEED))
        if seeds is not None:
            database.facts.set(_SEEDS, json.dumps(list(seeds)).encode())
        stored = json.loads(database.facts.get(_SEEDS) or b"[]")
        listed = int(database.facts.get(_LISTED) or 0)
        return Opened(account, database, tuple(str(each) for each in stored), listed)
    except BaseException:
        database.close()
        raise


def _unlocked(path: Path, password: str | None, owner: Account | None) -> Database:
    if keys.has_password(path):
        if password is None:
            raise DatabaseError(f"{path} has a password; give it")
        return keys.open_with_password(path, password)
    if owner is None:
        try:
            owner = Account.from_phrase(decoded(phrase_file(path).read_bytes()))
        except OSError as error:
            raise DatabaseError(
                f"the recovery phrase cannot be read from {phrase_file(path)} ({error.strerror}); give it"
            ) from None
        except ValueError as error:
            raise DatabaseError(f"{phrase_file(path)} holds no recovery phrase: {error}") from None
    return Database.open(path, _key(owner))


def set_password(database: Database, account: Account, old: str | None, new: str) -> None:
    """Gives the database a password in place of what opens it now."""
    if keys.has_password(database.path):
        keys.change_password(database, old or "", new)
    else:
        keys.protect(database, _key(account), new)
    phrase_file(database.path).unlink(missing_ok=True)


def secret(account: Account) -> bytes:
    """What opens a backup that has no password."""
    return account.ed25519_secret[:SEED_BYTES]


def account_of_backup(source: Path, opener: str | bytes) -> Account:
    """Whose backup it is; `DatabaseError` if `opener` does not open it."""
    return _account(source, archive.facts(source, opener).get(_SEED))


def restore(
    source: Path,
    opener: str | bytes,
    path: Path,
    password: str | None,
    keep_phrase: bool,
    progress: Callable[[int], object],
) -> archive.Backup:
    """A new file of a backup: all of it, or nothing. `DatabaseError` if that cannot be, or something is there."""
    beside = phrase_file(path)
    for each in (path, *([] if password is not None else [keys.key_file(path)])):
        if each.exists():
            raise DatabaseError(f"{each} is there already; name another file")
    account = account_of_backup(source, opener)
    made = [] if beside.exists() else [beside]
    try:
        if password is not None:
            key = keys.new(path, password)
            made.append(keys.key_file(path))
        else:
            if keep_phrase:
                _keep(path, account)
            key = _key(account)
        found = archive.restore(source, opener, path, key, progress)
        made += [path, path.with_name(path.name + "-wal")]
        # It may be old: nothing is pushed before all members of the swarm have told what is newer.
        with Database.open(path, key) as database:
            Core(account, database, actions.local_now).run(inbound.start_restoring)
    except BaseException:
        for each in made:
            each.unlink(missing_ok=True)
        raise
    return found


def _account(path: Path, seed: bytes | None) -> Account:
    if seed is None:
        raise DatabaseError(f"{path} holds no account: making it was interrupted; make it again")
    if any(seed[ENTROPY_BYTES:]):
        return Account.from_seed(seed)
    return Account(seed[:ENTROPY_BYTES])


def remember(
    work: Work, nodes: Sequence[Snode], age: float, guards: Sequence[bytes], swarms: Mapping[str, Sequence[bytes]]
) -> None:
    """What is known of the network, for the next run; the list of `nodes` is `age` seconds old."""
    if nodes:
        work.database.nodes.replace(nodes)
        work.database.facts.set(_LISTED, str(actions.local_now() - round(age * 1000)).encode())
    if guards:
        work.database.nodes.set_guards(guards)
    for pubkey, members in swarms.items():
        work.database.nodes.set_swarm(pubkey, members)
