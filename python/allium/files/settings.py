"""What an operator may set for a file server: `files.toml`, overridden by `ALLIUM_FILES_*` environment variables."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Mapping
from contextvars import ContextVar
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, ByteSize, Field, IPvAnyAddress, ValidationError, ValidationInfo, field_validator
from pydantic.networks import IPvAnyNetwork
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from allium.base import urls
from allium.base.complaint import denied, expanded
from allium.base.log import Format, Level
from allium.errors import SetupError

ENVIRONMENT_PREFIX = "ALLIUM_FILES_"
#: In the data directory; who finds it there knows that a file server's data are.
FILE_NAME = "files.toml"
#: What the official server keeps a file for (`spec/files-and-calls` §1).
FORTNIGHT = 14 * 86_400
#: What clients write at most (`spec/files-and-calls` §1).
CLIENTS_FILE_BYTES = 10_000_000

Network = IPv4Network | IPv6Network

_OBJECT_STORES = ("s3://", "gs://", "az://")
_DATABASES = ("postgresql://", "postgres://")
#: What the file being loaded says.
_FILE: ContextVar[dict[str, Any]] = ContextVar("_FILE")


class FilesConfigError(SetupError, ValueError):
    """A setting that the operator must change; the text names it and says to what."""


def _object_store(url: str) -> str:
    if not url.startswith(_OBJECT_STORES):
        raise ValueError(f"begin it with one of {', '.join(_OBJECT_STORES)}, or leave it out for the data directory")
    return url


def _database(url: str) -> str:
    if not url.startswith(_DATABASES):
        raise ValueError("begin it with postgresql://, or leave it out for SQLite in the data directory")
    return url


def _web(url: str) -> str:
    urls.check(url)
    return url.rstrip("/")


class FilesConfig(BaseSettings):
    """The settings of one file server. Sizes are bytes."""

    # Lists are decoded below: pydantic's own reader takes nothing but JSON.
    model_config = SettingsConfigDict(env_prefix=ENVIRONMENT_PREFIX, extra="forbid", frozen=True, enable_decoding=False)

    data_dir: Path = Field(description="Directory of the key, the index and, by default, the files. Relative to this.")
    bind_ip: IPvAnyAddress = Field(
        default="0.0.0.0",
        validate_default=True,
        description="Address to listen on; 0.0.0.0 is every IPv4 address, :: every IPv6 and IPv4 address.",
    )
    http_port: int = Field(default=8000, ge=1, le=65535, description="TCP port for plain HTTP and onion requests.")
    public_url: Annotated[str, AfterValidator(_web)] | None = Field(
        default=None, description="Where clients find the server, such as http://files.example. It is only shown."
    )
    storage: Annotated[str, AfterValidator(_object_store)] | None = Field(
        default=None,
        description="Where the files are: s3://bucket/path, gs://bucket/path or az://container/path, with the access "
        "keys in the environment, as the provider's own tools have them. None: in the data directory.",
    )
    index: Annotated[str, AfterValidator(_database)] | None = Field(
        default=None,
        description="Where it is noted which files there are: postgresql://user@host/database, which several servers "
        "may share. None: SQLite in the data directory.",
    )
    max_file_bytes: ByteSize = Field(
        default=ByteSize(CLIENTS_FILE_BYTES), ge=1, le=1 << 30, description="How large one file may be."
    )
    max_bytes: ByteSize = Field(
        default=ByteSize(20 << 30), ge=1 << 20, description="How much all files together may take."
    )
    source_day_bytes: ByteSize = Field(
        default=ByteSize(4 << 30),
        ge=1 << 20,
        description="How much one address (IPv6: one /64) may send in a day. Onion requests come from the addresses of "
        "the network's nodes.",
    )
    source_exempt: list[IPvAnyNetwork] = Field(
        default=[], description='Networks without that limit, such as ["192.0.2.0/24", "2001:db8::/32"].'
    )
    trusted_proxies: list[IPvAnyNetwork] = Field(
        default=[], description="Networks of proxies in front, whose X-Forwarded-For says where a request comes from."
    )
    ttl_seconds: int = Field(
        default=FORTNIGHT, ge=30, le=366 * 86_400, description="How long a file is kept if nobody extends it."
    )
    numeric_ids: bool = Field(
        default=False, description="Name files by numbers, for clients that know no other names. Both are found."
    )
    versions_file: Path | None = Field(
        default=None,
        description="JSON file with the newest version of each platform's client, for their update checks. Relative "
        "to this file.",
    )
    connections: int = Field(default=4096, ge=1, le=65_536, description="Connections that may be open.")
    connections_per_source: int = Field(
        default=512, ge=1, le=65_536, description="Connections that one address may have open."
    )
    uploads: int = Field(default=512, ge=1, le=65_536, description="Bodies that may be under way at once.")
    idle_seconds: float = Field(
        default=20, gt=0, le=3600, description="How long a client may say nothing in the midst of a request."
    )
    least_bytes_per_second: int = Field(
        default=8192, ge=1, description="Slower bodies, either way, are cut off once they had half a minute."
    )
    metrics_ip: IPvAnyAddress = Field(
        default="127.0.0.1", validate_default=True, description="Address at which Prometheus is answered."
    )
    metrics_port: int | None = Field(
        default=22028, ge=1, le=65535, description='TCP port at which Prometheus is answered. "": nowhere.'
    )
    log_level: Level = Field(default="info", description="debug, info, warning or error.")
    log_format: Format = Field(default="console", description="console for people, json for machines.")

    @field_validator("source_exempt", "trusted_proxies", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        """A list in one line, as a variable has it: with commas, or as JSON. Empty is none."""
        if not isinstance(value, str):
            return value
        if value.lstrip().startswith("["):
            try:
                return json.loads(value)
            except ValueError:
                raise ValueError("it is no list in JSON; values with commas between them do as well") from None
        return [part for each in value.split(",") if (part := each.strip())]

    @field_validator("data_dir", "versions_file", mode="before")
    @classmethod
    def _without_tilde(cls, value: Any) -> Any:
        try:
            return expanded(Path(value)) if isinstance(value, str | Path) else value
        except SetupError as error:
            raise ValueError(str(error)) from None

    # The last of them is the first to see a value.
    @field_validator("*", mode="before")
    @classmethod
    def _empty_is_none(cls, value: Any, info: ValidationInfo) -> Any:
        """TOML has no word for none."""
        default = cls.model_fields[info.field_name or ""].default
        return None if value == "" and (default is None or info.field_name == "metrics_port") else value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The command line wins over the environment, and that over the file."""
        return init_settings, env_settings, InitSettingsSource(settings_cls, _FILE.get({}))

    @classmethod
    def load(cls, path: Path | None, options: Mapping[str, Any] | None = None) -> FilesConfig:
        """The settings in force with the TOML file `path` (`None`: from the environment alone) and the command line's.

        Raises `FilesConfigError` for a file that cannot be read, a name that does not exist, a value that is refused.
        """
        where = "the environment" if path is None else str(path)
        values = {} if path is None else _read(path)
        if path is not None:
            for name in ("data_dir", "versions_file"):
                value = values.get(name)
                if isinstance(value, str) and value and not value.startswith("~"):
                    values[name] = path.absolute().parent / value
        token = _FILE.set(values)
        try:
            return cls(**(options or {}))
        except ValidationError as error:
            raise FilesConfigError("\n".join(_complaint(detail, where) for detail in error.errors())) from None
        finally:
            _FILE.reset(token)


def commented_toml(**values: str | int | bool | list[str]) -> str:
    """A `files.toml` that names every setting; those in `values` are set, the others show their default."""
    lines = ["# Settings of an Allium file server. A line that starts with # shows the default.", ""]
    for name, field in FilesConfig.model_fields.items():
        lines.append(f"# {field.description}")
        default = "" if field.is_required() or field.default is None else field.default
        shown = values.get(name, default)
        lines += [f"{'' if name in values else '#'}{name} = {_toml(shown)}", ""]
    return "\n".join(lines)


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    # What JSON writes for text, whole numbers and lists of them is TOML too.
    return json.dumps(int(value) if isinstance(value, int) else value, ensure_ascii=False)


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise FilesConfigError(f"{path} does not exist; `allium files init` writes one") from None
    except PermissionError:
        raise FilesConfigError(f"the settings cannot be read: {denied(path)}") from None
    except OSError as error:
        raise FilesConfigError(f"{path} cannot be read: {error.strerror}") from None
    except (UnicodeDecodeError, RecursionError):
        raise FilesConfigError(f"{path} is not TOML in UTF-8; save it as that") from None
    except tomllib.TOMLDecodeError as error:
        raise FilesConfigError(f"{path} is not TOML: {error}") from None


def _complaint(detail: Any, where: str) -> str:
    name = ".".join(str(part) for part in detail["loc"])
    variable = ENVIRONMENT_PREFIX + str(detail["loc"][0]).upper()
    source = f"environment variable {variable}" if variable in os.environ else f"{where}: {name}"
    if detail["type"] == "missing":
        return f"{source} is not set; add it to the file or set {variable}"
    if detail["type"] == "extra_forbidden":
        return f"{source}: there is no such setting; they are {', '.join(FilesConfig.model_fields)}"
    # The URL of a database may have a password.
    value = "" if name == "index" else f" = {detail['input']!r}"
    if detail["type"] == "value_error":
        return f"{source}{value}: {detail['ctx']['error']}"
    return f"{source}{value}: {detail['msg'][0].lower()}{detail['msg'][1:]}"
