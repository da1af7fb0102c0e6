"""`allium files …`: a server for attachments and profile pictures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from allium.base.console import err, out
from allium.cli import servers
from allium.cli.servers import ConfigOption, DataDirOption, InitDataDirOption, PortOption, UrlOption

if TYPE_CHECKING:
    from allium.files.settings import FilesConfig

app = typer.Typer(help="Serve attachments and profile pictures.", no_args_is_help=True)

_Json = Annotated[bool, typer.Option("--json", help="For machines.")]


@app.command("init")
def init(
    data_dir: InitDataDirOption,
    http_port: PortOption = 8000,
    public_url: UrlOption = None,
) -> None:
    """Make the key and a commented configuration of a new file server."""
    from allium import _native
    from allium.files.settings import FILE_NAME, SCHEMA
    from allium.settings import keys

    file, seed = servers.create(data_dir, SCHEMA, FILE_NAME, {"http_port": http_port, "public_url": public_url})
    ed25519, x25519, _ = _native.node_keys(seed)
    url = public_url.rstrip("/") if public_url is not None else f"http://HOST:{http_port}"
    out.report(f"Ed25519 key   {ed25519.hex()}")
    out.report(f"X25519 key    {x25519.hex()}")
    out.report(f"URL of a file {url}/file/ID#p={ed25519.hex()}")
    out.report(f"Back up {file.with_name(keys.ED25519_FILE)}: every link to a file names this key.")
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
def serve(config: ConfigOption = None, data_dir: DataDirOption = None) -> None:
    """Serve until SIGTERM, which finishes what is under way."""
    from allium.files import server

    settings, file = _settings(config, data_dir)
    raise typer.Exit(server.run(settings, file))


@app.command("stats")
def stats(config: ConfigOption = None, data_dir: DataDirOption = None, as_json: _Json = False) -> None:
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
def verify(config: ConfigOption = None, data_dir: DataDirOption = None, as_json: _Json = False) -> None:
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
def gc(config: ConfigOption = None, data_dir: DataDirOption = None) -> None:
    """Remove what has expired and what no file has, also while the server runs."""
    import asyncio

    from allium.files import maintenance

    settings, _ = _settings(config, data_dir)
    report = asyncio.run(maintenance.gc(settings))
    out.report(
        f"{report.expired:,} files had expired, {report.orphans:,} blobs ({report.orphan_bytes:,} bytes) had none"
    )


def _settings(config: Path | None, data_dir: Path | None) -> tuple[FilesConfig, Path | None]:
    from allium.files.settings import FILE_NAME, FilesConfig

    return servers.settings(FilesConfig.load, FILE_NAME, config, data_dir)
