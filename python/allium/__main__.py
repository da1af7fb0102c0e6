"""`python -m allium`, and the `allium` command."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from allium.errors import EXIT_CONFIG

EXIT_INCOMPLETE = EXIT_CONFIG


def main(arguments: list[str] | None = None) -> int:
    """Runs one command and returns its exit code.

    A node process is recognised first: it lives for months and shares its machine with others, so it never pays for
    the command line's parser and its terminal output.
    """
    match sys.argv[1:] if arguments is None else arguments:
        case ["node", "run", "--config", path]:
            with _complaint():
                from allium.node import node

            return node.main(Path(path))
        case rest:
            with _complaint():
                from allium.cli import main as cli

            return cli.main(rest)


@contextmanager
def _complaint() -> Iterator[None]:
    """Says what to install, where this package was installed without what its command needs."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == "allium":
            raise
        text = f"the allium command needs {error.name}, which is not installed; run: pip install 'allium[node]'"
        print(text, file=sys.stderr)
        sys.exit(EXIT_INCOMPLETE)


if __name__ == "__main__":
    sys.exit(main())
