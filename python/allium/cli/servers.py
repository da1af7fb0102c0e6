"""What the command groups of all servers do alike: make one, close its key, find its settings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol, TypeVar

import typer

from allium.errors import CommandError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from allium.settings.declared import Schema

ConfigOption = Annotated[Path | None, typer.Option("--config", help="The server's settings file.")]
DataDirOption = Annotated[Path | None, typer.Option("--data-dir", help="Its data directory, instead of the file.")]
InitDataDirOption = Annotated[Path, typer.Option("--data-dir", help="Directory for the key, the settings, all else.")]
PortOption = Annotated[int, typer.Option("--http-port", min=1, max=65535, help="TCP port for clients.")]
UrlOption = Annotated[
    str | None, typer.Option("--public-url", help="Where clients find it, such as http://server.example.")
]

PassphraseFileOption = Annotated[
    Path | None, typer.Option("--passphrase-file", help="File that has it, mode 600; it is asked for without one.")
]

Config = TypeVar("Config", covariant=True)


class Loaded(Protocol[Config]):
    """Reads settings of one kind: the `load` of their class."""

    def __call__(self, path: Path | None, options: Mapping[str, Any] | None = None) -> Config:
        """The settings in force."""


def create(data_dir: Path, schema: Schema, file_name: str, chosen: dict[str, Any]) -> tuple[Path, bytes]:
    """Makes the key and the settings of a new server; the settings' file, and the key's seed."""
    from allium.base import files
    from allium.base.complaint import expanded
    from allium.settings import keys

    data_dir = expanded(data_dir)
    file = data_dir / file_name
    if file.exists():
        raise CommandError(f"{file} is there already and stays as it is")
    chosen = {"data_dir": ".", **{name: value for name, value in chosen.items() if value is not None}}
    schema.checked(chosen, "the command line")
    try:
        secret = keys.create_ed25519(data_dir)
    except keys.KeyFileError as error:
        raise CommandError(str(error)) from None
    try:
        files.create(file, schema.commented_toml(**chosen).encode())
    except BaseException:
        keys.discard(data_dir)
        raise
    return file, secret[:32]


def settings(
    load: Loaded[Config],
    file_name: str,
    config: Path | None,
    data_dir: Path | None,
    chosen: Mapping[str, Any] | None = None,
) -> tuple[Config, Path | None]:
    """The settings, and the file that they are in: `--config`, or the one in `--data-dir`, or the environment.

    `chosen` on the command line wins over them; `None` in it is not chosen.
    """
    if config is None and data_dir is not None and (data_dir / file_name).is_file():
        config = data_dir / file_name
    options: dict[str, Any] = {} if data_dir is None else {"data_dir": data_dir.absolute()}
    options |= {name: value for name, value in (chosen or {}).items() if value is not None}
    return load(config, options), config


def seal(
    data_dir: Annotated[Path, typer.Option(help="Directory of the server's key.")],
    passphrase_file: PassphraseFileOption = None,
) -> None:
    """Close the key file with a passphrase, which the server then needs to start."""
    from allium.cli import node

    node.seal(data_dir, passphrase_file)
