"""Brings what a language model wrote into the shape of its style, line by line and while it is written.

Small models add what nobody asked for: "Here is a summary:", headings, code fences, bold print, numbers where
dashes were wanted. Parsing lines repairs that in every language and cannot fail, which asking for JSON can.

A line whose beginning tells what it is flows on as it comes; any other waits for its end. So the pieces that
`Tidier` lets through are final: joined, they are the tidied text.
"""

import re

from services.summarize.style import Style

LONGEST_PREAMBLE = 80
"""Characters up to which a first line that ends with a colon is taken for an announcement."""

MOST_REPEATS = 2
"""Items in a row that the list already has, at which it is taken to go in circles, as small models do."""

_SHORTEST_SENTENCE = 20
"""A sentence this long is no "Sure!" that an announcement follows."""

_SENTENCE_END = re.compile(r"[.!?]\s|[。！？]")  # noqa: RUF001 - Chinese and Japanese punctuation
_COLONS = (":", "：")  # noqa: RUF001 - Chinese and Japanese punctuation
_LABEL = re.compile(
    r"\W{0,4}(?:(?:brief|short|detailed|main|key)\s)?(?:summary|headline|title|points|action items|bullet points)"
    r"\W{0,2}(?:[:：]\W{0,3}|$)",  # noqa: RUF001 - Chinese and Japanese punctuation
    re.IGNORECASE,
)
_NOISE = re.compile(r"```[\w+-]*|[-*_=\s]*|</?(?:transcript|notes)>", re.IGNORECASE)
_MARKER = re.compile(r"(?:[-*•–+‣◦]|\(?\d{1,3}[.)])\s+(?:\[[ xX]?\]\s*)?")  # noqa: RUF001 - models write dashes
_HEADING = re.compile(r"#+\s*")
_UNDECIDED_END = re.compile(r"[\s*]*\Z")
_QUOTES = "\"'“”„«»‘’「」"  # noqa: RUF001 - quotation marks of several languages


def tidy(text: str, style: Style) -> str:
    """Return `text` in the shape of `style`.

    Lists have nothing but lines that begin with "- "; a headline is one line; a brief summary is one
    paragraph; no style has headings, fences, bold print, an announcement or white space around it.
    """
    tidier = Tidier(style)
    return tidier.feed(text) + tidier.finish()


class Tidier:
    """`tidy` for a text that comes in pieces.

    Call `feed` for every piece, then `finish` once. Where the text is cut into pieces changes nothing.

    Args:
        style: the shape.
    """

    def __init__(self, style: Style) -> None:
        self._style = style
        self._held = ""  # of the current line: what is not written yet
        self._inside = False  # the beginning of the current line is written
        self._wrote = False
        self._blank = False  # a blank line came after what was written last
        self._dropped = ""
        self._item = ""  # of the current line in a list: what is written of it
        self._items: set[str] = set()
        self._repeats = 0
        self._done = False

    @property
    def done(self) -> bool:
        """Whether whatever may follow is left out: a headline that has its line, a list that repeats itself."""
        return self._done

    def feed(self, piece: str) -> str:
        """Take the next piece; return what became certain by it, often nothing."""
        written = ""
        self._held += piece
        while not self._done and "\n" in self._held:
            line, _, self._held = self._held.partition("\n")
            written += self._end_line(line)
        return written if self._done else written + self._advance()

    def finish(self) -> str:
        """Return the rest; a text that had nothing but headings keeps its last one."""
        if self._done:
            return ""
        line, self._held = self._held, ""
        written = self._end_line(line)
        if self._wrote or not self._dropped:
            return written
        return self._begin(("- " if self._style.is_list else "") + self._dropped)

    def _advance(self) -> str:
        if not self._inside and not self._is_certain(self._held.lstrip()):
            return ""
        ready, self._held = _split_undecided(self._held)
        if self._inside:
            content = _plain(ready)
            self._item += content
            return content
        self._inside, self._repeats = True, 0
        self._item = self._shape(ready.lstrip())
        return self._begin(self._item)

    def _end_line(self, line: str) -> str:
        if self._inside:
            self._inside = False
            content = _plain(line).rstrip()
            self._items.add(self._item + content)
            return content
        content = self._content(line).rstrip()
        if content:
            return self._begin(content) if self._is_new(content) else ""
        if line.strip():
            self._dropped = _bare(line) or self._dropped
        else:
            self._blank = True
        return ""

    def _is_new(self, content: str) -> bool:
        if self._style is Style.HEADLINE:
            self._done = True
        if not self._style.is_list:
            return True
        known = content in self._items
        self._repeats = self._repeats + 1 if known else 0
        self._done = self._repeats == MOST_REPEATS
        self._items.add(content)
        return not known

    def _begin(self, content: str) -> str:
        separator = self._separator() if self._wrote else ""
        self._wrote, self._blank = True, False
        return separator + content

    def _separator(self) -> str:
        if self._style is Style.BRIEF:
            return " "
        return "\n\n" if self._blank and self._style is Style.DETAILED else "\n"

    def _is_certain(self, line: str) -> bool:
        """Tell whether the beginning of a line (without white space before it) is enough to judge it by."""
        if self._style is Style.HEADLINE:
            return False
        if self._style.is_list:
            return self._is_certain_item(line)
        if self._wrote:
            return line[:1].isalpha()  # a figure may be the number of an item
        content = _without_label(line)
        return content[:1].isalpha() and _is_no_announcement(content)

    def _is_certain_item(self, line: str) -> bool:
        marker = _MARKER.match(line)
        if marker is None or not line[marker.end() :][:1].isalnum():
            return False
        begun = self._shape(_split_undecided(line)[0])
        return not any(item.startswith(begun) for item in self._items)

    def _content(self, line: str) -> str:
        """Return what a whole line says, in the shape of the style; empty for a line that is left out."""
        line = line.strip()
        if _NOISE.fullmatch(line):
            return ""
        if self._style is Style.HEADLINE:
            return _headline(line)
        if line.startswith("#") or (_plain(line).endswith(_COLONS) and self._is_announcement(line)):
            return ""
        return self._shape(line)

    def _shape(self, line: str) -> str:
        if not self._style.is_list:
            return _plain(_without_item(line) if self._wrote else _without_label(_without_item(line))).lstrip()
        content = _plain(_without_marker(line)).lstrip()
        return f"- {content}" if content else ""

    def _is_announcement(self, line: str) -> bool:
        if self._style.is_list:
            return _MARKER.match(line) is None
        return not self._wrote and not _is_no_announcement(_without_label(line))


def _without_item(line: str) -> str:
    """Return a line of prose without what would make it an item of a list."""
    marker = _MARKER.match(line)
    return line[marker.end() :] if marker else line


def _without_marker(line: str) -> str:
    bare = _without_item(line)
    return bare if bare != line else _without_label(line)


def _headline(line: str) -> str:
    content = _plain(_without_label(_HEADING.sub("", line, count=1))).strip()
    if content.endswith(_COLONS):
        return ""
    content = content.strip(_QUOTES).strip()
    return content if content.endswith("..") else content.removesuffix(".")


def _without_label(line: str) -> str:
    return _LABEL.sub("", line, count=1) if _LABEL.match(line) else line


def _is_no_announcement(line: str) -> bool:
    return len(line) > LONGEST_PREAMBLE or _SENTENCE_END.search(line, _SHORTEST_SENTENCE) is not None


def _split_undecided(text: str) -> tuple[str, str]:
    """Split off the end that the next piece may turn into bold print or white space before a line's end."""
    undecided = _UNDECIDED_END.search(text)
    at = undecided.start() if undecided else len(text)
    return text[:at], text[at:]


def _plain(text: str) -> str:
    return text.replace("**", "")


def _bare(line: str) -> str:
    return "" if _NOISE.fullmatch(line.strip()) else _plain(line.strip("#*-` \t\r:")).strip()
