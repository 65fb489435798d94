"""Words on paper: a PDF, by fpdf2. The only file that imports it, and only when one is made.

The fonts that every reader of PDF has know Western letters alone. A character that they lack is
written as U+XXXX and never dropped, and the page says so; the same words stand in full in the CSV.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime

from nocontactd.errors import NocontactError

FALLBACK = "Characters that the font of this page lacks are written as [U+XXXX]; incidents.csv has them as they are."
_FONT = "Helvetica"


def pdf(
    title: str, words: Iterable[str], entries: Iterable[Sequence[str]], made: datetime, notice: str = FALLBACK
) -> bytes:
    """A title, paragraphs, and entries of several lines, the first of them bold; `made` (UTC) is the date it states.

    The same words give the same octets. NocontactError: fpdf2 is not installed.
    """
    try:
        from fpdf import FPDF
        from fpdf.enums import WrapMode
    except ImportError:
        raise NocontactError(
            "a PDF needs fpdf2, which is not installed; none was written", "pip install 'nocontactd[evidence]'"
        ) from None
    page = FPDF(format="A4")
    page.set_creation_date(made)
    page.set_title(_fit(title))
    page.set_lang("en")
    page.add_page()
    page.set_font(_FONT, "B", 14)
    page.multi_cell(0, 8, _fit(title), new_x="LMARGIN", new_y="NEXT")
    for paragraph in (*words, notice):
        page.set_font(_FONT, "", 9)
        page.multi_cell(0, 5, _fit(paragraph), new_x="LMARGIN", new_y="NEXT")
    for first, *others in entries:
        page.ln(3)
        page.set_font(_FONT, "B", 9)
        page.multi_cell(0, 4.5, _fit(first), new_x="LMARGIN", new_y="NEXT")
        page.set_font(_FONT, "", 8)
        for line in others:
            page.multi_cell(0, 4, _fit(line), new_x="LMARGIN", new_y="NEXT", align="L", wrapmode=WrapMode.CHAR)
    return bytes(page.output())


def _fit(text: str) -> str:
    return "".join(map(_letter, text))


def _letter(character: str) -> str:
    """fpdf2 writes its own fonts in windows-1252 as far as Latin-1 goes."""
    try:
        character.encode("latin-1")
    except UnicodeEncodeError:
        return {"“": '"', "”": '"'}.get(character, f"[U+{ord(character):04X}]")
    return character
