"""Text whose quoted strings, comments and encoded-words are lifted out, so that only structure is left.

Each leaves one private-use character in the skeleton: a word where a quoted string or a run of
encoded-words stood, white space where a comment did. The two kinds lie in a plane each.
"""

import re

from nocontactd.headers.words import decode_run, with_runs

LIFTED = re.compile("[\U000f0000-\U000fffff]")
REMARKS = "\U00100000-\U0010ffff"
"""The inside of a character class: stand-ins of comments."""
PRIVATE = re.compile("[\U000f0000-\U0010ffff]")
"""What must not be in a text before it is lifted."""

_BEFORE = re.compile(r"\s*([\U000f0000-\U000fffff])\s+[^\s@.]")
_FIRST_WORD = 0xF0000
_FIRST_REMARK = 0x100000
_REMARK = chr(_FIRST_REMARK)
_ROOM = 0xFFFE
_OPENING = {
    (True, True): re.compile(r'["(]'),
    (True, False): re.compile('"'),
    (False, True): re.compile(r"\("),
    (False, False): re.compile(r"(?!)"),
}
_QUOTED = re.compile(r'"([^"\\]*+(?:\\.[^"\\]*+)*)"', re.DOTALL)
_QUOTED_PAIR = re.compile(r"\\(.)", re.DOTALL)
_IN_COMMENT = re.compile(r"\\.|[()]", re.DOTALL)


class Lifted:
    """One way of reading a text: with or without quotes, comments and encoded-words."""

    def __init__(self, text: str, *, words: bool, quotes: bool, comments: bool) -> None:
        self._words: list[tuple[str, bool]] = []
        self._remarks: list[str] = []
        self._quotes, self._comments = quotes, comments
        self.torn: list[tuple[bool, bool]] = []
        """(quotes, comments) of the readings that count as well, because one of either never closed."""
        self.doubtful = False
        """An @ stands bare in an encoded-word, which to a strict reader then is none (RFC 2047, 5)."""
        self.skeleton = self._skeleton(with_runs(text, self._encoded_run) if words else text)

    def encoded(self, piece: str) -> list[str]:
        """What the encoded-words of a piece say."""
        if piece.isascii():
            return []
        kept = (self._words[ord(each) - _FIRST_WORD] for each in LIFTED.findall(piece))
        return [text for text, encoded in kept if encoded]

    def shown(self, piece: str) -> str:
        """A piece as a reader sees it, comments left out."""
        return " ".join(self.unquoted(piece).split())

    def unquoted(self, piece: str) -> str:
        """A piece with its words put back by what they mean, comments as a space."""
        return piece if piece.isascii() else PRIVATE.sub(lambda each: self._kept(each[0], mark=""), piece)

    def restored(self, piece: str) -> str:
        """A piece as it was before quotes were lifted, with its encoded-words decoded."""
        return PRIVATE.sub(lambda each: self._kept(each[0], mark='"'), piece)

    def remark(self, piece: str) -> str:
        """A name beside a bare address: a quoted string before it, else the comment in which old mailers put it.

        An address in a comment is no name.
        """
        if piece.isascii():
            return ""
        if quoted := _BEFORE.match(piece):
            return self.shown(quoted[1])
        kept = (self._remarks[ord(each) - _FIRST_REMARK] for each in PRIVATE.findall(piece) if each >= _REMARK)
        return next((" ".join(text.split()) for text in kept if "@" not in text), "")

    def _kept(self, each: str, mark: str) -> str:
        if ord(each) >= _FIRST_REMARK:
            return " "
        text, encoded = self._words[ord(each) - _FIRST_WORD]
        return text if encoded or not mark else mark + text.replace("\\", "\\\\").replace(mark, "\\" + mark) + mark

    def _encoded_run(self, run: str) -> str:
        self.doubtful = self.doubtful or "@" in run
        return self._word(decode_run(run), encoded=True)

    def _skeleton(self, text: str) -> str:
        pieces = []
        done = 0
        while opening := _OPENING[self._quotes, self._comments].search(text, done):
            pieces.append(text[done : opening.start()])
            stand_in, done = self._lift(text, opening.start())
            pieces.append(stand_in)
        return "".join((*pieces, text[done:]))

    def _lift(self, text: str, start: int) -> tuple[str, int]:
        """What takes the place of what opens here, and where it ends.

        When one never closes none behind it does either, so nothing is searched for twice.
        """
        if _ROOM in (len(self._words), len(self._remarks)):  # nobody's name: the rest is read as it stands
            self._quotes = self._comments = False
        elif text[start] == '"':
            if match := _QUOTED.match(text, start):
                return self._word(self.unquoted(_QUOTED_PAIR.sub(r"\1", match[1])), encoded=False), match.end()
            self._quotes = False
            self.torn.append((False, self._comments))
        else:
            if end := comment_end(text, start):
                return self._remark(self.unquoted(text[start + 1 : end - 1])), end
            self._comments = False
            self.torn.append((self._quotes, False))
        return text[start], start + 1

    def _word(self, text: str, *, encoded: bool) -> str:
        if len(self._words) == _ROOM:
            return " "
        self._words.append((text, encoded))
        return chr(_FIRST_WORD + len(self._words) - 1)

    def _remark(self, text: str) -> str:
        if len(self._remarks) == _ROOM:
            return " "
        self._remarks.append(text)
        return chr(_FIRST_REMARK + len(self._remarks) - 1)


def comment_end(text: str, start: int) -> int:
    """Where the comment that begins here ends, comments inside it included; 0 if it does not."""
    depth = 0
    for match in _IN_COMMENT.finditer(text, start):
        depth += {"(": 1, ")": -1}.get(match[0], 0)
        if depth == 0 and match[0] == ")":
            return match.end()
    return 0
