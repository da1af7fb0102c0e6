"""The key files of a node: `key_ed25519` and `key`, as the network's own daemon keeps them, and `key_bls`.

A server beside the nodes has `key_ed25519` alone.

Formats: `spec/transports` §0, `spec/portal` §5.3; `key_bls` is a scalar, 32 bytes big-endian. A file is those bytes, or
their hex digits after `0x`, or either sealed with a passphrase (`allium.base.sealed`). A node's registration names
its keys, so a file that exists is never written again.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from nacl import bindings

from allium.base import complaint, files, sealed
from allium.errors import SetupError

if TYPE_CHECKING:
    from allium._native import BlsSecretKey

ED25519_FILE = "key_ed25519"
LEGACY_FILE = "key"
#: Only a node that is staked for has one.
BLS_FILE = "key_bls"

#: Bytes of a sealed file of hex digits, and then some.
_LONGEST = 1024
#: Order of the prime-order subgroup of Curve25519.
_GROUP_ORDER = 2**252 + 27742317777372353535851937790883648493


class KeyFileError(SetupError, ValueError):
    """A key file that cannot be used; the text says what to do about it."""


@dataclass(frozen=True)
class NodeKeys:
    """The secrets of one node and what they publish."""

    #: libsodium's secret key, 64 bytes: the seed, then the public key.
    ed25519_secret: bytes = field(repr=False)
    #: A bare scalar, 32 bytes little-endian, below the group order and not 0.
    legacy_secret: bytes = field(repr=False)

    @property
    def ed25519_seed(self) -> bytes:
        """32 bytes."""
        return self.ed25519_secret[:32]

    @property
    def ed25519_public(self) -> bytes:
        """32 bytes."""
        return self.ed25519_secret[32:]

    @cached_property
    def x25519_public(self) -> bytes:
        """32 bytes, derived from the Ed25519 key."""
        return bindings.crypto_sign_ed25519_pk_to_curve25519(self.ed25519_public)

    @cached_property
    def legacy_public(self) -> bytes:
        """32 bytes: the scalar times the base point, without clamping."""
        return bindings.crypto_scalarmult_ed25519_base_noclamp(self.legacy_secret)


def generate() -> NodeKeys:
    """New keys, from the operating system's randomness."""
    _, ed25519_secret = bindings.crypto_sign_seed_keypair(os.urandom(32))
    while not any(legacy := bindings.crypto_core_ed25519_scalar_reduce(os.urandom(64))):
        pass
    return NodeKeys(ed25519_secret, legacy)


def exist(directory: Path) -> bool:
    """Whether `directory` holds any key file, even half of a pair."""
    return any(os.path.lexists(directory / name) for name in (ED25519_FILE, LEGACY_FILE))


def create(directory: Path) -> NodeKeys:
    """Generates keys and writes both files, readable by their owner only.

    Raises `KeyFileError` when a key file is already there, `OSError` when the directory cannot be written.
    """
    if exist(directory):
        raise KeyFileError(f"{directory} already holds keys, which are never overwritten; choose another directory")
    keys = generate()
    _write_all(directory, {ED25519_FILE: keys.ed25519_secret, LEGACY_FILE: keys.legacy_secret})
    return keys


def load(directory: Path) -> NodeKeys:
    """Reads both key files; raises `KeyFileError` for one that is missing, damaged or readable by others."""
    keys = NodeKeys(load_ed25519(directory), _read(directory / LEGACY_FILE, 32))
    if not _is_scalar(keys.legacy_secret):
        raise KeyFileError(f"{directory / LEGACY_FILE} is damaged (not a scalar of the group); restore your backup")
    return keys


def create_ed25519(directory: Path) -> bytes:
    """Generates the one key of a server and writes its file; the secret, 64 bytes. Raises as `create` does."""
    _, secret = bindings.crypto_sign_seed_keypair(os.urandom(32))
    try:
        _write_all(directory, {ED25519_FILE: secret})
    except FileExistsError:
        raise KeyFileError(f"{directory / ED25519_FILE} is there already, and keys are never overwritten") from None
    return secret


def load_ed25519(directory: Path, make: str = "allium node init") -> bytes:
    """Reads the Ed25519 key, 64 bytes; raises as `load` does. `make` is the command that makes one."""
    secret = _read(directory / ED25519_FILE, 64, make)
    if not _halves_match(secret):
        raise KeyFileError(
            f"{directory / ED25519_FILE} is damaged (its two halves do not belong together); restore your backup"
        )
    return secret


def create_bls(directory: Path) -> BlsSecretKey:
    """Generates the key that signs what is paid and who leaves, and writes its file; raises as `create` does."""
    from allium._native import BlsSecretKey

    secret = BlsSecretKey.random()
    try:
        files.create(directory / BLS_FILE, secret.to_bytes())
    except FileExistsError:
        raise KeyFileError(f"{directory / BLS_FILE} is there already, and keys are never overwritten") from None
    return secret


def has_bls(directory: Path) -> bool:
    """Whether the node has a BLS key."""
    return os.path.lexists(directory / BLS_FILE)


def load_bls(directory: Path) -> BlsSecretKey:
    """Reads the BLS key; raises `KeyFileError` for one that is missing, damaged or readable by others."""
    from allium._native import BlsSecretKey

    try:
        return BlsSecretKey(_read(directory / BLS_FILE, 32))
    except KeyFileError:
        raise
    except ValueError:
        raise KeyFileError(f"{directory / BLS_FILE} is damaged (it is no scalar); restore your backup") from None


def adopt(source: Path, directory: Path) -> NodeKeys:
    """Copies the key files of the network's daemon in `source`, also `key_bls` if there is one; all of them or none.

    Raises `KeyFileError` when one of them cannot be used, or `directory` has keys already.
    """
    keys = load(source)
    secrets = {ED25519_FILE: keys.ed25519_secret, LEGACY_FILE: keys.legacy_secret}
    if has_bls(source):
        secrets[BLS_FILE] = load_bls(source).to_bytes()
    try:
        _write_all(directory, secrets)
    except FileExistsError:
        raise KeyFileError(
            f"{directory} already holds keys, which are never overwritten; choose another directory"
        ) from None
    return keys


def discard(directory: Path) -> None:
    """Undoes `create` or `adopt`, where what goes with the keys could not be made."""
    for name in (ED25519_FILE, LEGACY_FILE, BLS_FILE):
        (directory / name).unlink(missing_ok=True)


def seal(directory: Path, passphrase: bytes) -> list[str]:
    """Closes the key files of `directory` with `passphrase`; the names of those that were open until now.

    Raises `KeyFileError` for a file that cannot be used. Copies that were made before stay open, as may what the disk
    keeps of the files that were there.
    """
    lengths = {ED25519_FILE: 64, LEGACY_FILE: 32, BLS_FILE: 32}
    inside = {path.name for path in directory.iterdir()}  # whoever may not look is told so, not that there are none
    there = {name: directory / name for name in lengths if name in inside}
    if not there:
        raise KeyFileError(f"{directory} has no key files; name the data directory of a node or a server")
    still_open = {name: path for name, path in there.items() if not sealed.is_sealed(path.read_bytes())}
    if still_open:
        (load_ed25519 if there.keys() == {ED25519_FILE} else load)(directory)
    for name, path in still_open.items():
        files.replace(path, sealed.seal(_read(path, lengths[name]), passphrase))
    return list(still_open)


def of_secrets(ed25519: bytes, legacy: bytes, x25519: bytes) -> NodeKeys:
    """The keys that a daemon gave; `ValueError` when they are damaged or do not belong together."""
    if len(ed25519) != 64 or not _halves_match(ed25519):
        raise ValueError("the two halves of the Ed25519 key do not belong together")
    if len(legacy) != 32 or not _is_scalar(legacy):
        raise ValueError("the legacy key is not a scalar of the group")
    keys = NodeKeys(ed25519, legacy)
    if len(x25519) != 32 or bindings.crypto_scalarmult_base(x25519) != keys.x25519_public:
        raise ValueError("the X25519 key does not belong to the Ed25519 key")
    return keys


def _halves_match(ed25519_secret: bytes) -> bool:
    public, _ = bindings.crypto_sign_seed_keypair(ed25519_secret[:32])
    return public == ed25519_secret[32:]


def _is_scalar(secret: bytes) -> bool:
    return 0 < int.from_bytes(secret, "little") < _GROUP_ORDER


def _write_all(directory: Path, secrets: Mapping[str, bytes]) -> None:
    """All of these files, or none of them."""
    files.make_directory(directory)
    written: list[Path] = []
    try:
        for name, secret in secrets.items():
            files.create(directory / name, secret)
            written.append(directory / name)
    except BaseException:
        for path in written:
            path.unlink()
        raise


def _read(path: Path, length: int, make: str = "allium node init") -> bytes:
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if not stat.S_ISREG(mode):
                raise KeyFileError(f"{path} is not a regular file; put the key file there")
            if mode & 0o077:
                raise KeyFileError(f"{path} can be read by others (mode {mode & 0o777:03o}); run: chmod 600 {path}")
            content = file.read(_LONGEST + 1)
    except FileNotFoundError:
        raise KeyFileError(
            f"{path} does not exist; restore your backup, or if nobody knows its key yet run `{make}` with a new "
            f"directory"
        ) from None
    except PermissionError:
        raise KeyFileError(f"the key cannot be read: {complaint.denied(path, path.parent)}") from None
    except OSError as error:
        raise KeyFileError(f"the key cannot be read: {complaint.sentence(error).text}") from None
    try:
        secret = _digits(sealed.unseal(content) if sealed.is_sealed(content) else content, length)
    except sealed.PassphraseError as error:
        raise KeyFileError(f"{path} {error}") from None
    if len(secret) != length:
        raise KeyFileError(f"{path} is not {length} bytes long, so it is no key of ours; restore your backup")
    return secret


def _digits(content: bytes, length: int) -> bytes:
    """What the daemon writes as text, as bytes; anything else as it is."""
    text = content.strip()
    if len(text) == 2 * length + 2 and text.startswith(b"0x"):
        with contextlib.suppress(ValueError):
            return bytes.fromhex(text[2:].decode())
    return content
