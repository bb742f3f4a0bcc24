"""The text of an archive, compressed or not, as something in which one goes forward, with what was read given back."""

from __future__ import annotations

from bisect import bisect_left, bisect_right

from pipeline.ingest.packed import DamagedMember, Member, Members, View

MAX_WASTE_BYTES = (
    1 << 30
)  # decompressed bytes that are passed over in search of a record's end, before the member is given up


class Plain:
    """A file that is not compressed."""

    def __init__(self, view: View, at: int) -> None:
        self.text: View | bytearray = view
        self.at = at
        self.problem = ""

    def more(self) -> bool:
        return False

    def opened(self, at: int, end: int) -> int | None:
        """The first place in [at, end) where a member starts that opens a record."""
        return None

    def place(self, at: int) -> int:
        """The offset in the file that a place in the text has."""
        return at

    def exact(self, at: int) -> bool:
        """Whether a member starts at a place in the text."""
        return True

    def forget(self) -> None:
        """Let go of what lies before `at`."""

    def stop(self) -> int:
        """The offset in the file where the text ends."""
        return len(self.text)


class Unpacked:
    """What the members of a compressed file hold, one after the other, as far as they are whole.

    Attributes:
        text: what is loaded. at: where the next piece starts in it.
        problem: why the text ends before the file does. corrupt: whether the last member is whole but not right.
        wasted: whether it ends because too much of it was passed over.
    """

    def __init__(self, members: Members, at: int) -> None:
        self.text: View | bytearray = b""
        self.at = 0
        self.problem, self.corrupt, self.wasted = "", False, False
        self._members = members
        self._next = at  # offset of the next member
        self._marks: list[tuple[int, int]] = [(0, at)]  # places in the text where members start, and their offsets
        self._member: Member | None = None

    def more(self) -> bool:
        """Load more of the text, never from two members. False at its end."""
        while not self.problem:
            if self._member is None:
                if self._next >= len(self._members.view):
                    return False
                self._mark(self._next)
                if not self._members.starts(self._next):
                    self.problem = "no compressed data"
                    return False
                self._member = self._members.open(self._next)
            try:
                got = self._member.read(1 << 20)
            except DamagedMember as damage:
                self.problem, self.corrupt = str(damage), damage.corrupt
                return False
            if got:
                self._append(got)
                return True
            self._next, self._member = self._member.end, None
        return False

    def _append(self, got: bytes) -> None:
        """The usual text is one piece, and is not copied."""
        if not self.text:
            self.text = got
        else:
            if not isinstance(self.text, bytearray):
                self.text = bytearray(self.text)
            self.text += got

    def _mark(self, offset: int) -> None:
        place = len(self.text)
        if self._marks[-1][0] == place:
            self._marks.pop()
        self._marks.append((place, offset))

    def opened(self, at: int, end: int) -> int | None:
        for i in range(bisect_left(self._marks, (at, 0)), len(self._marks)):
            place = self._marks[i][0]
            if place >= end:
                break
            if self.text[place : place + 5] == b"WARC/":
                return place
        return None

    def place(self, at: int) -> int:
        if at >= len(self.text) and self._member is None and not self.problem:
            return self._next
        return self._marks[bisect_right(self._marks, (at, len(self._members.view) + 1)) - 1][1]

    def exact(self, at: int) -> bool:
        found = bisect_left(self._marks, (at, 0))
        return found < len(self._marks) and self._marks[found][0] == at

    def forget(self) -> None:
        if self.at == len(self.text):
            gone, self.text = self.at, b""
        else:
            gone = self.at
            self.text = self.text[gone:]
        current = max(bisect_right(self._marks, (self.at, len(self._members.view) + 1)) - 1, 0)
        self._marks = [(max(place - gone, 0), offset) for place, offset in self._marks[current:]]
        self.at -= gone

    def rewind(self, offset: int) -> None:
        """Go back to where a member starts."""
        self.text, self.at, self.problem, self.corrupt = b"", 0, "", False
        self._next, self._member, self._marks = offset, None, [(0, offset)]

    def give_up(self, what: str) -> None:
        """Read no further in this member."""
        self.problem, self.wasted = f"more than {MAX_WASTE_BYTES:,} bytes {what}", True

    def stop(self) -> int:
        """The offset behind all that could be read of the file."""
        return self._member.end if self._member is not None else self._next


Text = Plain | Unpacked
