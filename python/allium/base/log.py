"""Where the orchestrator's log lines go: standard error, as text for people or as JSON for machines."""

from __future__ import annotations

import logging
import sys
from typing import Any, Literal

import structlog

from allium.base import complaint
from allium.base.urls import redacted

Level = Literal["debug", "info", "warning", "error"]
Format = Literal["console", "json"]


def configure(level: Level = "info", format: Format = "console") -> None:
    """Puts `level` and `format` in force for every logger, those already in use included.

    Of a URL no line shows more than the place.
    """
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if format == "json":
        shared += [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    else:
        renderer = structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
        shared.append(renderer)
    shared.append(lambda _logger, _method, text: redacted(text))
    structlog.configure(
        processors=shared,
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=False,  # a reload changes the level
    )


def failure(logger: structlog.typing.FilteringBoundLogger, event: str, error: BaseException, **fields: Any) -> None:
    """Tells of an error in a sentence; where in the program it was, only those who look for that (`debug`)."""
    logger.error(event, reason=complaint.sentence(error).text, **fields)
    logger.debug(event, exc_info=error, **fields)


def get(name: str) -> structlog.typing.FilteringBoundLogger:
    """The logger of one part, named in each of its lines as `part`."""
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger(part=name)
    return logger
