"""`python -m allium`, and the `allium` command."""

from __future__ import annotations

import sys


def main(arguments: list[str] | None = None) -> int:
    """Runs one command and returns its exit code.

    A node process is recognised first: it lives for months and shares its machine with others, so it never pays for
    the command line's parser and its terminal output.
    """
    match sys.argv[1:] if arguments is None else arguments:
        case ["node", "run", "--config", path]:
            return _node(path)
        case rest:
            from allium.cli import main as cli

            return cli.main(rest)


def _node(config: str) -> int:
    from pathlib import Path

    try:
        from allium.node import node
    except ModuleNotFoundError as error:
        from allium.base import complaint

        text, code = complaint.sentence(error)
        print(text, file=sys.stderr)
        return code
    return node.main(Path(config))


if __name__ == "__main__":
    sys.exit(main())
