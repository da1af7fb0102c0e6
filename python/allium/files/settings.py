"""What an operator may set for a file server: `files.toml`, overridden by `ALLIUM_FILES_*` environment variables."""

from __future__ import annotations

import dataclasses
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import Path
from typing import Any

from allium.base import fields, urls
from allium.base.complaint import denied
from allium.base.fields import Refusal, RefusedError
from allium.base.log import Format, Level
from allium.settings.declared import (
    ConfigError,
    Setting,
    file_path,
    is_required,
    listed,
    required,
    setting,
    toml,
    written,
)

ENVIRONMENT_PREFIX = "ALLIUM_FILES_"
#: In the data directory; who finds it there knows that a file server's data are.
FILE_NAME = "files.toml"
#: What the official server keeps a file for (`spec/files-and-calls` §1).
FORTNIGHT = 14 * 86_400
#: What clients write at most (`spec/files-and-calls` §1).
CLIENTS_FILE_BYTES = 10_000_000

Network = IPv4Network | IPv6Network

#: What is opened whole, in an onion layer, has to fit into memory.
_LARGEST_FILE = 1 << 30
_OBJECT_STORES = ("s3://", "gs://", "az://")
_DATABASES = ("postgresql://", "postgres://")


def _object_store(value: Any) -> str:
    url = fields.text()(value)
    if not url.startswith(_OBJECT_STORES):
        raise ValueError(f"begin it with one of {', '.join(_OBJECT_STORES)}, or leave it out for the data directory")
    return url


def _database(value: Any) -> str:
    url = fields.text()(value)
    if not url.startswith(_DATABASES):
        raise ValueError("begin it with postgresql://, or leave it out for SQLite in the data directory")
    return url


def _file_size(value: Any) -> int:
    size = fields.size(1)(value)
    if size > _LARGEST_FILE:
        raise ValueError(f"no file may be larger than {_LARGEST_FILE:,} bytes")
    return size


def _web(value: Any) -> str:
    url = fields.text()(value)
    urls.check(url)
    return url.rstrip("/")


@dataclass(frozen=True, kw_only=True)
class FilesConfig:
    """The settings of one file server. Sizes are bytes."""

    data_dir: Path = required(
        file_path, "Directory of the key, the index and, by default, the files. Relative to this file."
    )
    bind_ip: IPv4Address | IPv6Address = setting(
        fields.address,
        "Address to listen on; 0.0.0.0 is every IPv4 address, :: every IPv6 and IPv4 address.",
        IPv4Address("0.0.0.0"),
    )
    http_port: int = setting(fields.whole(1, 65535), "TCP port for plain HTTP and onion requests.", 8000)
    public_url: str | None = setting(
        fields.optional(_web), "Where clients find the server, such as http://files.example. It is only shown."
    )
    storage: str | None = setting(
        fields.optional(_object_store),
        "Where the files are: s3://bucket/path, gs://bucket/path or az://container/path, with the access keys in the "
        "environment, as the provider's own tools have them. None: in the data directory.",
    )
    index: str | None = setting(
        fields.optional(_database),
        "Where it is noted which files there are: postgresql://user@host/database, which several servers may share. "
        "None: SQLite in the data directory.",
    )
    max_file_bytes: int = setting(
        _file_size, "How large one file may be: bytes, or text such as 10MB.", CLIENTS_FILE_BYTES
    )
    max_bytes: int = setting(fields.size(1 << 20), "How much all files together may take.", 20 << 30)
    source_day_bytes: int = setting(
        fields.size(1 << 20),
        "How much one address (IPv6: one /64) may send in a day. Onion requests come from the addresses of the "
        "network's nodes.",
        4 << 30,
    )
    source_exempt: list[Network] = setting(
        listed(fields.network),
        'Networks without that limit, such as ["192.0.2.0/24", "2001:db8::/32"].',
        factory=list,
    )
    trusted_proxies: list[Network] = setting(
        listed(fields.network),
        "Networks of proxies in front, whose X-Forwarded-For says where a request comes from.",
        factory=list,
    )
    ttl_seconds: int = setting(
        fields.whole(30, 366 * 86_400), "How long a file is kept if nobody extends it.", FORTNIGHT
    )
    numeric_ids: bool = setting(
        fields.flag, "Name files by numbers, for clients that know no other names. Both are found.", False
    )
    versions_file: Path | None = setting(
        fields.optional(file_path),
        "JSON file with the newest version of each platform's client, for their update checks. Relative to this file.",
    )
    connections: int = setting(fields.whole(1, 65_536), "Connections that may be open.", 4096)
    connections_per_source: int = setting(fields.whole(1, 65_536), "Connections that one address may have open.", 512)
    uploads: int = setting(fields.whole(1, 65_536), "Bodies that may be under way at once.", 512)
    idle_seconds: float = setting(
        fields.number(3600, above=0), "How long a client may say nothing in the midst of a request.", 20.0
    )
    least_bytes_per_second: int = setting(
        fields.whole(1), "Slower bodies, either way, are cut off once they had half a minute.", 8192
    )
    metrics_ip: IPv4Address | IPv6Address = setting(
        fields.address, "Address at which Prometheus is answered.", IPv4Address("127.0.0.1")
    )
    metrics_port: int | None = setting(
        fields.optional(fields.whole(1, 65535)), 'TCP port at which Prometheus is answered. "": nowhere.', 22028
    )
    log_level: Level = setting(
        fields.choice("debug", "info", "warning", "error"), "debug, info, warning or error.", "info"
    )
    log_format: Format = setting(fields.choice("console", "json"), "console for people, json for machines.", "console")

    @classmethod
    def load(cls, path: Path | None, options: Mapping[str, Any] | None = None) -> FilesConfig:
        """The settings in force with the TOML file `path` (`None`: from the environment alone) and the command line's.

        The command line wins over the environment, and that over the file. Raises `ConfigError` for a file that cannot
        be read, a name that does not exist, a value that is refused.
        """
        where = "the environment" if path is None else str(path)
        values = {} if path is None else _read(path)
        if path is not None:
            for name in ("data_dir", "versions_file"):
                value = values.get(name)
                if isinstance(value, str) and value and not value.startswith("~"):
                    values[name] = path.absolute().parent / value
        names = {name: ENVIRONMENT_PREFIX + name.upper() for name in SETTINGS}
        variables = {name: os.environ[variable] for name, variable in names.items() if variable in os.environ}
        return checked({**values, **variables, **(options or {})}, where)


#: Every setting by its name, in the order in which people are shown them.
SETTINGS: Mapping[str, dataclasses.Field[Any]] = {each.name: each for each in dataclasses.fields(FilesConfig)}


def checked(given: Mapping[str, Any], where: str) -> FilesConfig:
    """The settings that these values are; `ConfigError` has a line for every value that is refused."""
    values: dict[str, Any] = {}
    unknown = [name for name in given if name not in SETTINGS]
    complaints = [f"{where}: there is no setting {name!r}; they are {', '.join(SETTINGS)}" for name in unknown]
    for name, declared in SETTINGS.items():
        if name in given:
            try:
                values[name] = fields.inside(name, declared.metadata["read"], given[name])
            except RefusedError as error:
                complaints += [_complaint(refusal, where) for refusal in error.refusals]
        elif is_required(declared):
            variable = ENVIRONMENT_PREFIX + name.upper()
            complaints.append(f"{where}: {name} is not set; add it to the file or set {variable}")
    if complaints:
        raise ConfigError("\n".join(complaints))
    return FilesConfig(**values)


def commented_toml(**values: Setting) -> str:
    """A `files.toml` that names every setting; those in `values` are set, the others show their default."""
    lines = ["# Settings of an Allium file server. A line that starts with # shows the default.", ""]
    for name, declared in SETTINGS.items():
        lines.append(f"# {declared.metadata['description']}")
        if name in values:
            lines.append(f"{name} = {toml(values[name])}")
        elif is_required(declared):
            lines.append(f"#{name} = (required)")
        else:
            made = declared.default_factory
            default = declared.default if made is dataclasses.MISSING else made()
            lines.append(f"#{name} = {toml(written(default))}")
        lines.append("")
    return "\n".join(lines)


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise ConfigError(f"{path} does not exist; `allium files init` writes one") from None
    except PermissionError:
        raise ConfigError(f"the settings cannot be read: {denied(path)}") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None
    except (UnicodeDecodeError, RecursionError):
        raise ConfigError(f"{path} is not TOML in UTF-8; save it as that") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not TOML: {error}") from None


def _complaint(refusal: Refusal, where: str) -> str:
    name = str(refusal.place[0])
    variable = ENVIRONMENT_PREFIX + name.upper()
    source = f"environment variable {variable}" if variable in os.environ else f"{where}: {name}"
    # The URL of a database may have a password.
    value = "" if name == "index" else f" = {refusal.found!r}"
    return f"{source}{value}: {refusal.reason[0].lower()}{refusal.reason[1:]}"
