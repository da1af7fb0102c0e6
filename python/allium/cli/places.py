"""Options that name something elsewhere: what is no URL is refused before anybody is asked, by the option's name."""

from __future__ import annotations

from typing import Annotated

import typer

from allium.base import urls


def urls_checked(given: str | list[str] | None) -> str | list[str] | None:
    """As they were given; raises `BadParameter`, which names the option, where one is no URL."""
    for url in [given] if isinstance(given, str) else given or []:
        try:
            urls.check(url)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None
    return given


def url_checked(given: str | None) -> str | None:
    """The same for an option that is given once, and may be empty."""
    if given:
        urls_checked(given)
    return given


Seed = Annotated[
    list[str],
    typer.Option("--seed", envvar="ALLIUM_SEED", callback=urls_checked, help="URL of a seed node; may be repeated."),
]
