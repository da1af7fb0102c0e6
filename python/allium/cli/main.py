"""The `allium` command from the outside: it runs one command, and whatever is raised in it becomes a sentence."""

from __future__ import annotations

import signal
import sys
import threading
from itertools import takewhile

from allium.base.console import ClosedError, accept_any_text, err, settle


def main(arguments: list[str]) -> int:
    """Runs one command and returns its exit code. Whatever is raised in it ends here, as a sentence."""
    accept_any_text()
    if threading.current_thread() is threading.main_thread():
        # What a command has begun is undone on its way out, as after Ctrl-C.
        signal.signal(signal.SIGTERM, _terminated)
    try:
        _run(arguments)
        sys.stdout.flush()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except ClosedError as error:
        return error.exit_code
    except BaseException as error:  # a panic of the engine is no `Exception`
        from allium.base import complaint
        from allium.errors import Complaint

        if "--debug" in takewhile(lambda argument: argument.startswith("-"), arguments):
            _show_place(error)
        settle()
        text, code = complaint.sentence(error)
        option = error.option if isinstance(error, Complaint) else ""
        err.print(f"error: {option}: {text}" if option else f"error: {text}", markup=False)
        return code
    return 0


def _run(arguments: list[str]) -> None:
    if arguments == ["--version"]:
        from allium.cli import version

        version.show()
        return
    import logging

    from allium.cli.app import app

    # It would tell of what nobody awaits any more, where in the program that was.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    app(args=_without_obsolete(arguments) if arguments[:2] == ["node", "run"] else arguments, standalone_mode=True)


def _without_obsolete(arguments: list[str]) -> list[str]:
    """What a unit file of the reference's may still have is no reason not to start."""
    from allium.takeover import storage_server_options

    kept, obsolete = storage_server_options.without_obsolete(arguments)
    if obsolete:
        err.print(storage_server_options.passed_over("the command line", obsolete), markup=False)
    return kept


def _show_place(error: BaseException) -> None:
    import traceback

    from allium.base.urls import redacted

    err.print(redacted("".join(traceback.format_exception(error))), markup=False)


def _terminated(number: int, _: object) -> None:
    sys.exit(128 + number)
