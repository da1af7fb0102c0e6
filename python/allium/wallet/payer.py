"""The key that pays for transactions: from a file or the environment, never from a command line."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from eth_account import Account
from eth_account.signers.local import LocalAccount

from allium.staking import StakingError

#: Holds a key, as the file would, when no file is named.
VARIABLE = "ALLIUM_WALLET_KEY"
_LONGEST = 256


class WalletError(StakingError):
    """No usable key; the text says what to do."""


def load(file: Path | None) -> LocalAccount:
    """The account whose key is in `file`, else in `ALLIUM_WALLET_KEY`: 64 hex digits, with 0x or without."""
    if file is not None:
        return _account(_read(file), str(file))
    if text := os.environ.get(VARIABLE):
        return _account(text, VARIABLE)
    raise WalletError(f"no key to pay with; name a file with --key-file, or set {VARIABLE}")


def _account(text: str, where: str) -> LocalAccount:
    try:
        key = bytes.fromhex(text.strip().removeprefix("0x"))
        if len(key) != 32:
            raise ValueError
        account: LocalAccount = Account.from_key(key)
    except ValueError:
        # The original error would show the key.
        raise WalletError(f"{where} holds no key: 64 hex digits are expected") from None
    return account


def _read(file: Path) -> str:
    try:
        with file.open("rb") as reader:
            mode = os.fstat(reader.fileno()).st_mode
            if not stat.S_ISREG(mode):
                raise WalletError(f"{file} is not a regular file")
            if mode & 0o077:
                raise WalletError(f"{file} can be read by others (mode {mode & 0o777:03o}); run: chmod 600 {file}")
            return reader.read(_LONGEST).decode("ascii", errors="replace")
    except OSError as error:
        raise WalletError(f"{file} cannot be read: {error.strerror}") from None
