"""`allium store`: what an operator does with a node's messages from outside."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from allium.base.console import err, out
from allium.errors import CommandError

if TYPE_CHECKING:
    from allium._native import StoreReport

app = typer.Typer(help="Look after a node's message store.", no_args_is_help=True)

_DataDir = Annotated[Path, typer.Option("--data-dir", help="Directory of the node's keys and messages.")]
_Json = Annotated[bool, typer.Option("--json", help="For machines.")]


@contextmanager
def _work(what: str, data_dir: Path) -> Iterator[Callable[[int], object]]:
    """Shows how far it is; what the engine refuses is a complaint to the operator."""
    try:
        with err.status(what) as tell:
            yield lambda count: tell(f"{what} · {count:,} entries")
    except OSError as error:
        from allium.base import complaint

        raise CommandError(complaint.in_directory(error, data_dir).text) from None


@app.command()
def stats(data_dir: _DataDir, as_json: _Json = False) -> None:
    """Show what the store holds, also while a node runs."""
    from allium import _native

    with _work("counting", data_dir):
        summary = _native.store_summary(str(data_dir))
    if as_json:
        out.print(json.dumps(summary), markup=False)
        return
    from rich.table import Table

    out.print(f"format     {summary['format']}")
    out.print(f"messages   {summary['messages']:,}, charged {summary['bytes']:,} bytes")
    out.print(f"file       {summary['file_bytes']:,} bytes, {summary['used_bytes']:,} in use")
    several = summary["accounts_with_several"]
    if several:
        out.print(f"accounts   {len(several):,} with several messages, the most has {several[-1]:,}")
    for namespace, count in summary["namespaces"].items():
        out.print(f"namespace  {namespace}: {count:,}")
    table = Table("table", "entries", "bytes", box=None)
    for name, (entries, size) in summary["tables"].items():
        table.add_row(name, f"{entries:,}", f"{size:,}")
    out.print(table)


@app.command()
def verify(data_dir: _DataDir, as_json: _Json = False) -> None:
    """Walk every index both ways and compute every hash anew; exit code 1 when something does not agree."""
    from allium import _native

    with _work("verifying", data_dir) as progress:
        report = _native.store_verify(str(data_dir), progress)
    if as_json:
        out.print(json.dumps(report), markup=False)
    else:
        _tell(report)
    raise typer.Exit(1 if report["found"] else 0)


def _tell(report: StoreReport) -> None:
    for problem in report["problems"]:
        out.print(problem, markup=False)
    if report["unproven"]:
        out.print(f"{report['unproven']:,} messages are called what other nodes called them, which cannot be verified")
    if report["found"]:
        out.print(f"{report['found']:,} things do not agree")
        out.print("Put a copy back, or move data.mdb away and start empty: the swarm sends its messages again.")
    else:
        out.print(
            f"{report['messages']:,} messages of {report['accounts']:,} accounts, {report['entries']:,} entries: "
            "all agrees"
        )


@app.command()
def compact(data_dir: _DataDir) -> None:
    """Write the store anew without free pages. The node has to be stopped."""
    from allium import _native

    with _work("compacting", data_dir):
        before, after = _native.store_compact(str(data_dir))
    out.report(f"{before:,} bytes before, {after:,} now")


@app.command("export")
def export_to(
    file: Annotated[Path, typer.Argument(help="Where to write; JSON, an entry a line.")], data_dir: _DataDir
) -> None:
    """Write all messages, deletions and revocations to a file, also while a node runs."""
    from allium import _native

    with _work("exporting", data_dir) as progress:
        messages, entries = _native.store_export(str(data_dir), str(file), progress)
    out.report(f"{messages:,} messages, {entries:,} entries in all")


@app.command("import")
def import_from(
    file: Annotated[Path, typer.Argument(help="What `allium store export` wrote.")],
    data_dir: _DataDir,
    max_store_bytes: Annotated[int, typer.Option(min=1 << 20, help="As the node is set.")] = 3_758_096_384,
) -> None:
    """Take in an export; what the store holds already stays. The node has to be stopped."""
    from allium import _native

    with _work("importing", data_dir) as progress:
        messages, entries, new = _native.store_import(str(data_dir), str(file), max_store_bytes, progress)
    out.report(f"{messages:,} messages, {entries:,} entries in all")
    if new < messages:
        out.report("nothing of it was new" if not new else f"{messages - new:,} of the messages were there before")
