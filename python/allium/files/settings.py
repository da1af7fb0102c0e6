"""What an operator may set for a file server: `files.toml`, overridden by `ALLIUM_FILES_*` environment variables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from allium.base import fields
from allium.settings.declared import Schema, file_path, setting
from allium.settings.server import ServerConfig

#: In the data directory; who finds it there knows that a file server's data are.
FILE_NAME = "files.toml"
#: What the official server keeps a file for (`spec/files-and-calls` §1).
FORTNIGHT = 14 * 86_400
#: What clients write at most (`spec/files-and-calls` §1).
CLIENTS_FILE_BYTES = 10_000_000

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


@dataclass(frozen=True, kw_only=True)
class FilesConfig(ServerConfig):
    """The settings of one file server. Sizes are bytes."""

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
    ttl_seconds: int = setting(
        fields.whole(30, 366 * 86_400), "How long a file is kept if nobody extends it.", FORTNIGHT
    )
    quic: bool = setting(
        fields.flag, "Whether clients may use QUIC too, at the UDP port of the number that HTTP has.", True
    )
    numeric_ids: bool = setting(
        fields.flag, "Name files by numbers, for clients that know no other names. Both are found.", False
    )
    versions_file: Path | None = setting(
        fields.optional(file_path),
        "JSON file with the newest version of each platform's client, for their update checks. Relative to this file.",
    )

    @classmethod
    def load(cls, path: Path | None, options: Mapping[str, Any] | None = None) -> FilesConfig:
        """The settings in force with the TOML file `path` (`None`: from the environment alone) and the command line's.

        The command line wins over the environment, and that over the file. Raises `ConfigError` for a file that cannot
        be read, a name that does not exist, a value that is refused.
        """
        given, where = SCHEMA.load(path, options)
        config = cls(**SCHEMA.checked(given, where, options))
        config.refuse_shared_ports(where)
        return config


#: How they are read and written.
SCHEMA = Schema(
    FilesConfig,
    title="Settings of an Allium file server.",
    prefix="ALLIUM_FILES_",
    init="allium files init",
    secret=("index",),
    paths=("data_dir", "versions_file"),
)
commented_toml = SCHEMA.commented_toml
