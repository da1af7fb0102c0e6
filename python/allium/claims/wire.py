"""How nodes ask each other for signatures, and people ask nodes: bencoded dicts over OMQ (`spec/appchain` §7).

| command                        | asks for                                | answer                             |
|--------------------------------|-----------------------------------------|------------------------------------|
| `bls.get_rewards`              | address, height                         | address, amount, height, signature |
| `bls.get_exit`                 | bls_pubkey, timestamp                   | remove, timestamp, signature       |
| `bls.get_liquidation`          | the same                                | liquidate, timestamp, signature    |
| `bls.rewards_request`          | address, height, without                | address, amount, height, and a sum |
| `bls.exit_liquidation_request` | bls_pubkey or pubkey, liquidate, without | bls_pubkey, timestamp, and a sum  |
| `bls.get_accrued_rewards`      | addresses                               | height, balances                   |

A sum is `Collected.sum`. A height of 0 or less counts from the last one.
An answer is "200" and a dict, or a code and a text. `without` has numbers of the contract whose signatures are not
wanted, because the contract holds those nodes no longer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bencode2 import BencodeDecodeError, bdecode, bencode

from allium.appchain.claims import Code, SignatureRefusedError

GET_REWARDS = "bls.get_rewards"
GET_EXIT = "bls.get_exit"
GET_LIQUIDATION = "bls.get_liquidation"
REWARDS_REQUEST = "bls.rewards_request"
LEAVING_REQUEST = "bls.exit_liquidation_request"
ACCRUED = "bls.get_accrued_rewards"

OK = b"200"
#: Too many of our nodes did not sign, or too much is asked at once.
UNAVAILABLE = 503
_MAX_LIST = 4096
_MAX_NUMBER = 2**63 - 1

#: What a dict on the wire is.
Fields = Mapping[bytes, Any]


def encode(fields: Mapping[str, Any]) -> bytes:
    """The bytes of a dict; its values are numbers, bytes, texts and lists of these."""
    return bencode(dict(fields))


def answer(fields: Mapping[str, Any]) -> list[bytes]:
    """The parts of a good answer."""
    return [OK, encode(fields)]


def refusal(code: int, text: str) -> list[bytes]:
    """The parts of another."""
    return [str(code).encode(), text.encode()]


def decode(parts: Sequence[bytes]) -> Fields:
    """The dict of a request; raises `SignatureRefusedError`."""
    if len(parts) == 1:
        try:
            fields = bdecode(parts[0])
        except (BencodeDecodeError, ValueError, RecursionError):
            fields = None
        if isinstance(fields, dict):
            return fields
    raise SignatureRefusedError(Code.BAD_REQUEST, "one bencoded dict is expected")


def raw(fields: Fields, name: str, length: int) -> bytes:
    """Bytes of a certain length; raises `SignatureRefusedError`."""
    value = fields.get(name.encode())
    if isinstance(value, bytes) and len(value) == length:
        return value
    raise SignatureRefusedError(Code.BAD_REQUEST, f"{name} must be {length} bytes")


def raws(fields: Fields, name: str, length: int, most: int) -> list[bytes]:
    """A list of such; raises `SignatureRefusedError`."""
    values = fields.get(name.encode(), [])
    if isinstance(values, list) and len(values) <= most:
        return [raw({name.encode(): value}, name, length) for value in values]
    raise SignatureRefusedError(Code.BAD_REQUEST, f"{name} must be a list of at most {most}")


def number(fields: Fields, name: str, default: int | None = None, least: int = 0) -> int:
    """A number; raises `SignatureRefusedError`."""
    value = fields.get(name.encode(), default)
    if type(value) is int and least <= value <= _MAX_NUMBER:
        return value
    raise SignatureRefusedError(Code.BAD_REQUEST, f"{name} must be a whole number of at least {least}")


def numbers(fields: Fields, name: str) -> list[int]:
    """A list of numbers; raises `SignatureRefusedError`."""
    values = fields.get(name.encode(), [])
    if isinstance(values, list) and len(values) <= _MAX_LIST:
        return [number({name.encode(): value}, name) for value in values]
    raise SignatureRefusedError(Code.BAD_REQUEST, f"{name} must be a list of at most {_MAX_LIST} numbers")
