"""`allium files …`: a server for attachments and profile pictures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from allium.base.console import err, out
from allium.errors import CommandError

if TYPE_CHECKING:
    from allium.files.settings import FilesConfig

app = typer.Typer(help="Serve attachments and profile pictures.", no_args_is_help=True)

_Config = Annotated[Path | None, typer.Option("--config", help="The server's files.toml.")]
_DataDir = Annotated[Path | None, typer.Option("--data-dir", help="Its data directory, instead of the file.")]
_Json = Annotated[bool, typer.Option("--json", help="For machines.")]


@app.command("init")
def init(
    data_dir: Annotated[Path, typer.Option(help="Directory for the key, the settings and the files.")],
    http_port: Annotated[int, typer.Option(min=1, max=65535, help="TCP port for clients.")] = 8000,
    public_url: Annotated[str | None, typer.Option(help="Where clients find it, such as http://files.example.")] = None,
) -> None:
    """Make the key and a commented configuration of a new file server."""
    from allium import _native
    from allium.base import files
    from allium.base.complaint import expanded
    from allium.files import settings
    from allium.settings import keys

    data_dir = expanded(data_dir)
    file = data_dir / settings.FILE_NAME
    if file.exists():
        raise CommandError(f"{file} is there already and stays as it is")
    chosen: dict[str, Any] = {"data_dir": ".", "http_port": http_port}
    if public_url is not None:
        chosen["public_url"] = public_url
    settings.SCHEMA.checked(chosen, "the command line")
    try:
        secret = keys.create_ed25519(data_dir)
    except keys.KeyFileError as error:
        raise CommandError(str(error)) from None
    try:
        files.create(file, settings.commented_toml(**chosen).encode())
    except BaseException:
        keys.discard(data_dir)
        raise
    ed25519, x25519, _ = _native.node_keys(secret[:32])
    url = public_url.rstrip("/") if public_url is not None else f"http://HOST:{http_port}"
    out.report(f"Ed25519 key   {ed25519.hex()}")
    out.report(f"X25519 key    {x25519.hex()}")
    out.report(f"URL of a file {url}/file/ID#p={ed25519.hex()}")
    out.report(f"Back up {data_dir / keys.ED25519_FILE}: every link to a file names this key.")
    out.report(f"Start it with: allium files serve --config {file}")


@app.command("seal")
def seal(
    data_dir: Annotated[Path, typer.Option(help="Directory of the server's key.")],
    passphrase_file: Annotated[
        Path | None, typer.Option(help="File that has it, mode 600; it is asked for without one.")
    ] = None,
) -> None:
    """Close the key file with a passphrase, which the server then needs to start."""
    from allium.cli import node

    node.seal(data_dir, passphrase_file)


@app.command("serve")
def serve(config: _Config = None, data_dir: _DataDir = None) -> None:
    """Serve until SIGTERM, which finishes what is under way."""
    from allium.files import server

    settings, file = _settings(config, data_dir)
    raise typer.Exit(server.run(settings, file))


@app.command("stats")
def stats(config: _Config = None, data_dir: _DataDir = None, as_json: _Json = False) -> None:
    """Show how many files there are, also while the server runs."""
    import asyncio
    from dataclasses import asdict

    from allium.files import maintenance

    settings, _ = _settings(config, data_dir)
    totals = asyncio.run(maintenance.stats(settings))
    if as_json:
        out.print(json.dumps({**asdict(totals), "limit": int(settings.max_bytes)}), markup=False)
        return
    out.print(f"files  {totals.files:,}")
    out.print(f"bytes  {totals.bytes:,} of {settings.max_bytes:,} ({totals.bytes / settings.max_bytes:.1%})")
    out.print(f"loose  {totals.loose:,} blobs that no file has, or not yet")


@app.command("verify")
def verify(config: _Config = None, data_dir: _DataDir = None, as_json: _Json = False) -> None:
    """Read every file and hash it anew, also while the server runs; exit code 1 when something does not agree."""
    import asyncio
    from dataclasses import asdict

    from allium.files import maintenance

    settings, _ = _settings(config, data_dir)
    with err.status("verifying") as tell:
        report = asyncio.run(maintenance.verify(settings, lambda count: tell(f"verifying · {count:,} files")))
    if as_json:
        out.print(json.dumps(asdict(report)), markup=False)
    else:
        for problem in report.problems:
            out.print(problem, markup=False)
        told = f"{report.files:,} files, {report.bytes:,} bytes, {report.blobs:,} blobs"
        out.print(f"{told}: {f'{report.found:,} things do not agree' if report.found else 'all agrees'}")
    raise typer.Exit(1 if report.found else 0)


@app.command("gc")
def gc(config: _Config = None, data_dir: _DataDir = None) -> None:
    """Remove what has expired and what no file has, also while the server runs."""
    import asyncio

    from allium.files import maintenance

    settings, _ = _settings(config, data_dir)
    report = asyncio.run(maintenance.gc(settings))
    out.report(
        f"{report.expired:,} files had expired, {report.orphans:,} blobs ({report.orphan_bytes:,} bytes) had none"
    )


def _settings(config: Path | None, data_dir: Path | None) -> tuple[FilesConfig, Path | None]:
    """The settings, and the file that they are in: `--config`, or the one in `--data-dir`, or the environment."""
    from allium.files.settings import FILE_NAME, FilesConfig

    if config is None and data_dir is not None and (data_dir / FILE_NAME).is_file():
        config = data_dir / FILE_NAME
    options = {} if data_dir is None else {"data_dir": data_dir.absolute()}
    return FilesConfig.load(config, options), config
