"""Text from files and file names, made harmless for a terminal, a page or a message of one line."""

from __future__ import annotations


def escaped(text: str) -> str:
    """The text with an escape in place of every character that is not plainly visible.

    Line breaks become `\\n`, control characters `\\x1b`, marks that turn the direction of writing `\\u202e`,
    bytes of a file name that are no UTF-8 `\\xff`. What str.isprintable calls printable stays, square
    brackets and angle brackets among it: whoever shows the text as markup has to see to those.
    """
    return text if text.isprintable() else "".join(map(_escape, text))


def _escape(character: str) -> str:
    if character.isprintable():
        return character
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # how Python has such a byte in a file name
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")
