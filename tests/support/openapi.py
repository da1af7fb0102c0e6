"""A description of an interface, and whether answers are as it says."""

from __future__ import annotations

import re
from typing import Any

from jsonschema import Draft202012Validator


class OpenApi:
    """An OpenAPI 3.1 document. Made only of one that is whole: each reference leads somewhere, each schema is one."""

    def __init__(self, told: dict[str, Any]) -> None:
        assert re.fullmatch(r"3\.1\.\d", told["openapi"]) and told["info"]["title"] and told["info"]["version"]
        self._told, schemas = told, told["components"]["schemas"]
        for path, operations in told["paths"].items():
            for operation in operations.values():
                named = {each["name"] for each in operation["parameters"] if each["in"] == "path" and each["required"]}
                assert named == set(re.findall(r"\{(\w+)\}", path)), path
                for response in operation["responses"].values():
                    assert response["description"]
        for reference in _references(told):
            assert reference.startswith("#/components/schemas/") and reference.split("/")[-1] in schemas, reference
        for schema in schemas.values():
            Draft202012Validator.check_schema(schema)

    @property
    def operations(self) -> set[str]:
        """`GET /path` and the like."""
        paths = self._told["paths"].items()
        return {f"{method.upper()} {path}" for path, operations in paths for method in operations}

    def check(self, what: str, answer: Any, status: str = "200") -> None:
        """Raises `jsonschema`'s error unless an answer to such an operation is as described."""
        method, path = what.split(" ")
        response = self._told["paths"][path][method.lower()]["responses"][status]
        schema = response["content"]["application/json"]["schema"]
        Draft202012Validator({**schema, "components": self._told["components"]}).validate(answer)


def _references(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return own + [each for part in value.values() for each in _references(part)]
    return [each for part in value for each in _references(part)] if isinstance(value, list) else []
