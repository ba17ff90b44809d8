"""Takes the teeth out of text that comes from the subject, for every report."""

import unicodedata

NAME_LENGTH_MAX = 120
HEADLINE_NAME_LENGTH_MAX = 60
SENTENCE_LENGTH_MAX = 700
ERROR_LENGTH_MAX = 1000
COMMAND_LENGTH_MAX = 2000


def visible(text: str, limit: int = SENTENCE_LENGTH_MAX) -> str:
    """One line of printable characters, at most `limit` of the text's own and then how long the whole is.

    A line's end is shown as ↵; what does not print (control characters, direction overrides, zero-width characters,
    lone surrogates, non-characters) as ⟨U+202E⟩. The result is valid in HTML and XML 1.0, once escaped.
    """
    shown = "".join(map(_visible, text[:limit].replace("\r\n", "\n")))
    return shown if len(text) <= limit else f"{shown}… ({len(text)} characters in all)"


def _visible(character: str) -> str:
    if character.isprintable():
        return character
    if character == "\n":
        return "↵"
    if character == "\t" or unicodedata.category(character) == "Zs":
        return " "
    return f"⟨U+{ord(character):04X}⟩"
