"""The portal's interface for machines: OpenAPI 3.1, made of the documents' own types."""

from __future__ import annotations

from typing import Any

import msgspec

import allium
from allium.portal import documents as d

_ADDRESS = {"name": "address", "schema": {"type": "string", "pattern": "^0x[0-9a-fA-F]{40}$"}}
_PUBKEY = {"name": "pubkey", "schema": {"type": "string", "pattern": "^[0-9a-fA-F]{64}$"}}
_NAME = {"name": "name", "schema": {"type": "string"}}
_ANY = dict[str, Any]


def _members(kind: Any) -> dict[str, Any]:
    return {field.name: field.type for field in msgspec.structs.fields(kind)}


#: Method, path, what it is, and the members of the answer beside `network` and `t`.
_PATHS: tuple[tuple[str, str, str, dict[str, Any]], ...] = (
    ("get", "/info", "How the network is", {}),
    ("get", "/network", "The same", {}),
    ("get", "/nodes", "All nodes that the contract holds", {"nodes": list[d.Stake]}),
    ("get", "/nodes/bls", "Their BLS keys and numbers", {"bls_keys": dict[str, int]}),
    (
        "get",
        "/stakes/{address}",
        "What an address has staked in",
        {
            "stakes": list[d.Stake],
            "contracts": list[d.Contract],
            "vesting": list[d.Vesting],
            "added_bls_keys": dict[str, int],
        },
    ),
    ("get", "/stakes/{pubkey}", "One node, or none", {"stakes": list[d.Stake]}),
    (
        "get",
        "/contract/contribution",
        "All contracts that collect stakes",
        {"contracts": list[d.Contract], "added_bls_keys": dict[str, int]},
    ),
    ("get", "/contract/contribution/{pubkey}", "The newest one for a node", {"contract": d.Contract | None}),
    ("get", "/contract/contribution/{address}", "Those of an address", {"contracts": list[d.Contract]}),
    ("get", "/contract/names", "The contracts that are known", {"names": list[str]}),
    ("get", "/contract/abis", "Their ABIs", {"abis": dict[str, list[_ANY]]}),
    ("get", "/contract/abi/{name}", "One of them", {"contract": _ANY}),
    ("get", "/contract/addresses", "Where they are", {"addresses": _ANY}),
    ("get", "/contract/addresses/core", "Where there is one of a kind", {"addresses": dict[str, str]}),
    ("get", "/contract/address/{name}", "Where one is", {"address": str}),
    ("get", "/events/{count}/{skip}", "Events, newest first", {"events": list[d.Event], "pagination": d.Pagination}),
    ("get", "/stake-events/{number}", "Those of a node", {"events": list[d.Event]}),
    ("get", "/arbitrum-info", "What the contracts hold", {"info": d.ArbitrumInfo}),
    ("get", "/rewards/{address}", "What an address has earned", {"rewards": d.Rewards}),
    ("post", "/rewards/{address}", "Have the network sign what it may claim", {"rewards": d.SignedRewards}),
    ("get", "/daily-rewards/{address}", "Day by day", {"rewards": list[d.DailyRewards]}),
    ("get", "/exit/{pubkey}", "Have the network sign that a node may leave", {"result": d.SignedLeave}),
    ("get", "/liquidation/{pubkey}", "Have it sign that it may be liquidated", {"result": d.SignedLeave}),
    ("get", "/exit_liquidation_list", "Nodes that may be taken out", {"result": list[d.Leaving]}),
    ("get", "/registrations/{address}", "What an operator's nodes signed", {"registrations": list[d.Registration]}),
    ("get", "/registrations/{pubkey}", "What a node signed", {"registrations": list[d.Registration]}),
    ("post", "/store/{pubkey}", "Keep what a node signed", {"success": bool, "registration": d.Registration}),
    ("get", "/leaders", "Who has earned most, on a test network", {"leaders": list[d.Leader]}),
    ("get", "/faucet-info", "What the faucet of a test network gives", {"faucet": d.FaucetTerms | None}),
    ("post", "/faucet", "Have it pay: an object with address and code", {"granted": d.Granted}),
    ("get", "/price", "What the token costs", _members(d.Price)),
    ("get", "/price/{name}", "What another costs", _members(d.Price)),
    ("get", "/token", "The token, as lists of coins ask", {"token": d.Token}),
)
_BARE = ("/store/{pubkey}", "/faucet", "/token", "/price", "/price/{name}")
_REFUSED = {"type": "object", "properties": {"error": {"type": "string"}}, "required": ["error"]}
_REFUSAL = {"description": "Why not, for people", "content": {"application/json": {"schema": _REFUSED}}}
_NUMBERS = [{"name": name, "schema": {"type": "integer"}} for name in ("count", "skip", "number")]
_PARAMETERS: list[dict[str, Any]] = [_ADDRESS, _PUBKEY, _NAME, *_NUMBERS]


def document() -> bytes:
    """The document, JSON."""
    kinds = list(dict.fromkeys([d.Network, *(kind for *_, told in _PATHS for kind in told.values())]))
    schemas, components = msgspec.json.schema_components(kinds, ref_template="#/components/schemas/{name}")
    of_kind = list(zip(kinds, schemas, strict=True))
    paths: dict[str, Any] = {}
    for method, path, summary, told in _PATHS:
        members = {name: next(schema for each, schema in of_kind if each == kind) for name, kind in told.items()}
        if path not in _BARE:
            members = {"network": of_kind[0][1], "t": {"type": "integer"}, **members}
        answer: dict[str, Any] = {"type": "object", "properties": members, "required": list(members)}
        if path.startswith("/store"):
            # What is wrong with a registration is an answer, too.
            answer = {"anyOf": [answer, _REFUSED]}
        described = {"description": summary, "content": {"application/json": {"schema": answer}}}
        given = [
            {**parameter, "in": "path", "required": True}
            for parameter in _PARAMETERS
            if f"{{{parameter['name']}}}" in path
        ]
        operation = {"summary": summary, "parameters": given, "responses": {"200": described, "default": _REFUSAL}}
        paths.setdefault(path, {})[method] = operation
    return msgspec.json.encode(
        {
            "openapi": "3.1.0",
            "info": {"title": "Allium staking portal", "version": allium.__version__},
            "paths": paths,
            "components": {"schemas": components},
        }
    )
