"""What ends a command."""


class CommandError(Exception):
    """Ends a command with exit code 1; the text says what went wrong and what to do."""
