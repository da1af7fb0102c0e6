"""The published ABI of the staking contracts: all that clients know of them (`spec/contracts` §2 to §8).

The `.abi` files beside this one are its home, in the words of Solidity's own declarations. Contracts that were compiled
from other sources are called and understood through the same.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError
from eth_utils.abi import collapse_if_tuple, function_abi_to_4byte_selector
from eth_utils.crypto import keccak

#: One entry of a JSON ABI.
Entry = dict[str, Any]

CONTRACTS = (
    "SESH",
    "SESHL2",
    "RewardRatePool",
    "ServiceNodeRewards",
    "ServiceNodeContribution",
    "ServiceNodeContributionFactory",
    "FeeSplitter",
    "TokenVestingStaking",
)

_DECLARATION = re.compile(
    r"(?P<kind>struct|constructor|function|event|error) ?(?P<name>\w*)\((?P<inputs>.*?)\)"
    r"(?: (?P<mutability>view|pure|payable))?(?: returns \((?P<outputs>.*)\))?"
)
_PARAMETER = re.compile(r"(?P<base>\w+?)(?P<array>\[\])?(?: (?P<indexed>indexed))?(?: (?P<name>\w+))?")
_ELEMENTARY = re.compile(r"uint\d+|bytes\d*|address|bool|string")

#: Errors that the deployed contracts have from a library, and ours never raise.
_LIBRARY = "OpenZeppelin"
#: What Solidity itself reverts with.
_BUILT_IN = ("error Error(string reason)", "error Panic(uint256 code)")


@cache
def load(contract: str) -> list[Entry]:
    """The JSON ABI of one of `CONTRACTS`, as `web3` wants it. Not to be changed: it is made once."""
    return _read(contract, {})


@cache
def errors() -> dict[bytes, Entry]:
    """Every error that a call of these contracts can end with, by its selector of 4 bytes."""
    entries = [entry for source in (*CONTRACTS, _LIBRARY) for entry in load(source)]
    entries += [_entry(line, {}) for line in _BUILT_IN]
    return {selector(entry): entry for entry in entries if entry["type"] == "error"}


def selector(entry: Entry) -> bytes:
    """The 4 bytes that name a function or an error."""
    return bytes(function_abi_to_4byte_selector({**entry, "type": "function"}))  # type: ignore[arg-type]


def topic(event: Entry) -> bytes:
    """The 32 bytes that name an event."""
    return keccak(text=f"{event['name']}({','.join(types(event['inputs']))})")


def types(parameters: Sequence[Entry]) -> list[str]:
    """The types of parameters as signatures spell them, structs as tuples."""
    return [collapse_if_tuple(parameter) for parameter in parameters]


def revert_name(data: bytes) -> str | None:
    """The name of the error in what a reverted call returned; `None` for one that is not in the ABI."""
    entry = errors().get(data[:4])
    return None if entry is None else entry["name"]


def describe_revert(data: bytes) -> str:
    """What a reverted call returned, in words: the error and what it says of itself."""
    entry = errors().get(data[:4])
    if entry is None:
        return f"unknown error 0x{data.hex()}" if data else "reverted without a reason"
    try:
        values = decode(types(entry["inputs"]), data[4:])
    except (DecodingError, ValueError, OverflowError):
        return str(entry["name"])
    if entry["name"] == "Error":
        return str(values[0])
    told = ", ".join(f"{parameter['name']} = {value}" for parameter, value in zip(entry["inputs"], values, strict=True))
    return f"{entry['name']}({told})"


def _read(contract: str, structs: dict[str, list[Entry]]) -> list[Entry]:
    entries: list[Entry] = []
    for line in Path(__file__).with_name(f"{contract}.abi").read_text(encoding="utf-8").splitlines():
        if line.startswith("include "):
            entries += _read(line.removeprefix("include "), structs)
        elif line:
            entry = _entry(line, structs)
            if entry["type"] == "struct":
                structs[entry["name"]] = entry["inputs"]
            else:
                entries.append(entry)
    return entries


def _entry(line: str, structs: dict[str, list[Entry]]) -> Entry:
    declaration = _DECLARATION.fullmatch(line)
    if declaration is None:
        raise ValueError(f"not a declaration: {line}")
    kind = declaration["kind"]
    entry: Entry = {"type": kind, "inputs": _parameters(declaration["inputs"], structs)}
    if kind != "constructor":
        entry["name"] = declaration["name"]
    if kind in ("constructor", "function"):
        entry["stateMutability"] = declaration["mutability"] or "nonpayable"
    if kind == "function":
        entry["outputs"] = _parameters(declaration["outputs"] or "", structs)
    if kind == "event":
        entry["anonymous"] = False
        for parameter in entry["inputs"]:
            parameter.setdefault("indexed", False)
    return entry


def _parameters(text: str, structs: dict[str, list[Entry]]) -> list[Entry]:
    return [_parameter(one, structs) for one in text.split(", ")] if text else []


def _parameter(text: str, structs: dict[str, list[Entry]]) -> Entry:
    found = _PARAMETER.fullmatch(text)
    if found is None or not (found["base"] in structs or _ELEMENTARY.fullmatch(found["base"])):
        raise ValueError(f"not a parameter: {text}")
    array = found["array"] or ""
    parameter: Entry = {"name": found["name"] or ""}
    if found["base"] in structs:
        parameter |= {"type": "tuple" + array, "components": structs[found["base"]]}
    else:
        parameter["type"] = found["base"] + array
    if found["indexed"]:
        parameter["indexed"] = True
    return parameter
