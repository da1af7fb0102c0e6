"""The API described for programs: OpenAPI 3.1, made of the table of operations."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec
from starlette.responses import Response

from allium.messenger.calls import Operation
from allium.messenger.views import ErrorView, Nothing

_REFERENCE = "#/components/schemas/{name}"


def document(operations: Sequence[Operation], version: str) -> dict[str, Any]:
    """The whole description."""
    kinds: list[Any] = [ErrorView]
    for each in operations:
        kinds += [kind for kind in (each.body, each.answer) if kind not in (None, bytes, Response)]
    schemas, components = msgspec.json.schema_components(kinds, ref_template=_REFERENCE)
    schema_of = {_key(kind): schema for kind, schema in zip(kinds, schemas, strict=True)}
    paths: dict[str, dict[str, Any]] = {}
    for each in operations:
        paths.setdefault(each.path, {})[each.method.lower()] = _operation(each, schema_of)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Allium messenger",
            "version": version,
            "description": "The messenger's service on its owner's machine. Times are Unix milliseconds, sizes bytes.",
        },
        "security": [{"cookie": []}, {"token": []}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "cookie": {"type": "apiKey", "in": "cookie", "name": "allium"},
                "token": {"type": "http", "scheme": "bearer"},
            },
        },
    }


def _operation(operation: Operation, schema_of: dict[str, Any]) -> dict[str, Any]:
    names = re.findall(r"{(\w+)}", operation.path)
    parameters: list[dict[str, Any]] = [
        {"name": each, "in": "path", "required": True, "schema": {"type": "string"}} for each in names
    ]
    parameters += [
        {"name": name, "in": "query", "description": text, "schema": {"type": "string"}}
        for name, text in operation.query.items()
    ]
    found: dict[str, Any] = {
        "operationId": _identifier(operation),
        "summary": operation.summary,
        "parameters": parameters,
        "responses": {
            str(operation.status): {"description": "Done", "content": _content(operation.answer, schema_of)},
            "default": {"description": "It cannot be", "content": _content(ErrorView, schema_of)},
        },
    }
    if operation.body is not None:
        found["requestBody"] = {"required": True, "content": _content(operation.body, schema_of)}
    if operation.public:
        found["security"] = []
    return found


def _content(kind: Any, schema_of: dict[str, Any]) -> dict[str, Any]:
    if kind in (bytes, Response):
        return {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
    return {"application/json": {"schema": schema_of[_key(kind)]}}


def _identifier(operation: Operation) -> str:
    """By which generated programs call it; the handlers' names are unique."""
    handler = operation.handler
    return f"{handler.__module__.rpartition('.')[2]}_{handler.__name__}"


def _key(kind: Any) -> str:
    return str(kind)


def table(operations: Sequence[Operation]) -> str:
    """The operations as a table for `docs/api/messenger.md`."""
    lines = ["| Request | | Takes | Answers |", "|---|---|---|---|"]
    for each in operations:
        path = each.path.removeprefix("/api")
        query = f"?{'&'.join(f'{name}=' for name in each.query)}" if each.query else ""
        taken = "" if each.body is None else "the file" if each.body is bytes else _named(each.body)
        lines.append(
            f"| `{each.method} {path}{query}` | {each.summary} | {taken} | {each.status} {_named(each.answer)} |"
        )
    return "\n".join(lines) + "\n"


def _named(kind: Any) -> str:
    if kind is Response:
        return "the file"
    if kind is Nothing:
        return "`{}`"
    name = kind.__name__ if isinstance(kind, type) and not hasattr(kind, "__args__") else str(kind)
    return f"`{re.sub(r'[a-z_.]+[.](?=[A-Z])', '', name).replace(' | ', ' or ')}`"
