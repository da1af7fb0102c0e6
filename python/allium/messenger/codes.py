"""Texts as QR codes."""

from __future__ import annotations

import io

import segno
from starlette.responses import Response


def drawn(text: str) -> Response:
    """The code of `text` as SVG, which no browser keeps; `ValueError` if it is too long for one."""
    made = io.BytesIO()
    segno.make(text, error="m", micro=False).save(made, kind="svg", scale=4, border=4, svgclass=None, lineclass=None)
    return Response(made.getvalue(), media_type="image/svg+xml", headers={"Cache-Control": "no-store"})
