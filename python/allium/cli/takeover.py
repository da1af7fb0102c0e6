"""`allium import` and `allium export`: to and from others, here the software that an operator ran before."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import typer

from allium.base.console import err, out
from allium.cli.lazy import LazyGroup
from allium.errors import EXIT_FAILED, CommandError

if TYPE_CHECKING:
    from allium.takeover.oxen_storage import Moved


class _Import(LazyGroup):
    modules: ClassVar[Mapping[str, str]] = {"json": "imports"}


class _Export(LazyGroup):
    modules: ClassVar[Mapping[str, str]] = {"json": "exports", "html": "exports"}


_import_app = typer.Typer(
    cls=_Import, help="Take in what was exported, or what another program has.", no_args_is_help=True
)
_export_app = typer.Typer(
    cls=_Export, help="Write what was said for other programs, or for people.", no_args_is_help=True
)
app = typer.Typer()
app.add_typer(_import_app, name="import")
app.add_typer(_export_app, name="export")

_DataDir = Annotated[Path, typer.Option("--data-dir", help="Directory of the node's keys and messages.")]


# A group, however few commands it has.
@_import_app.callback()
def _import() -> None:
    pass


@_export_app.callback()
def _export() -> None:
    pass


@contextmanager
def _progress(what: str) -> Iterator[Callable[[int, int], object]]:
    with err.status(what) as tell:

        def show(done: int, total: int) -> None:
            tell(f"{what} · {done:,}" + (f" of {total:,} messages" if total else " messages"))

        yield show


def _tell(moved: Moved) -> None:
    out.report(f"{moved.messages:,} messages, {moved.revocations:,} revocations")
    if moved.misfiled:
        out.report(f"{moved.misfiled:,} of them had a hash of another namespace, and went there if it could be found")
    for why, count in sorted(moved.left.items()):
        out.report(f"left behind: {count:,} {why}")
    if moved.lost:
        err.print(f"{moved.lost:,} things were left behind; all others are there now")
        raise typer.Exit(EXIT_FAILED)


@_import_app.command("oxen-storage")
def import_oxen_storage(
    path: Annotated[Path, typer.Argument(help="The storage server's data directory, or its storage.db.")],
    data_dir: _DataDir,
    keys_dir: Annotated[
        Path | None, typer.Option("--keys", help="The daemon's data directory, to copy the node's keys from too.")
    ] = None,
    max_store_bytes: Annotated[int, typer.Option(min=1 << 20, help="As the node is set.")] = 3_758_096_384,
) -> None:
    """Take over the reference storage server's messages, and the node's keys. Stop it first; it is only read.

    Exit code 1 also when all was taken over but for some messages that cannot be used; those are counted.
    """
    from allium.settings import keys
    from allium.takeover import oxen_storage

    source = oxen_storage.find(path)
    if keys_dir is not None:
        try:
            adopted = keys.adopt(keys_dir, data_dir)
        except keys.KeyFileError as error:
            raise CommandError(str(error)) from None
        out.report(f"keys of node {adopted.ed25519_public.hex()}")
    try:
        with _progress("taking over") as progress:
            moved = oxen_storage.take_over(source, data_dir, max_store_bytes, progress)
    except BaseException:
        if keys_dir is not None:
            keys.discard(data_dir)  # all of it or nothing: they came a moment ago
        raise
    _tell(moved)


@_export_app.command("oxen-storage")
def export_oxen_storage(
    path: Annotated[Path, typer.Argument(help="The database to make, such as storage.db.")], data_dir: _DataDir
) -> None:
    """Write all messages into a new database of the reference storage server, also while a node runs."""
    from allium.takeover import oxen_storage

    with _progress("giving back") as progress:
        moved = oxen_storage.give_back(data_dir, path, progress)
    _tell(moved)
