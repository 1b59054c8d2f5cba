from __future__ import annotations

import json
import sys

from jobs.printable import printable, printable_json, printable_lines


def test_whatever_is_in_a_name_it_is_one_printable_line() -> None:
    name = "".join(map(chr, range(0x3000))) + "\u202e\ud800\U000e0041"
    assert printable(name).isprintable()
    assert len(printable(name)) == len(name)
    assert printable("Zürich 東京 é.jpg") == "Zürich 東京 é.jpg"


def test_lines_stay_lines_and_lose_colours_and_commands() -> None:
    text = "\x1b[36m(Actor pid=1)\x1b[0m read\r\n\n\tTraceback\x1b]0;x\x07\rgone\u2028more\n"
    assert printable_lines(text) == "(Actor pid=1) read\n\n\tTraceback\ufffd]0;x\ufffd gone more\n"
    assert printable_lines("a\n\nb", indent="> ") == "> a\n\n> b"


def test_json_means_the_same_and_holds_nothing_else_than_printable_lines() -> None:
    codes = [*range(0xD800), *range(0xDC00, sys.maxunicode + 1)]  # else two halves would be read as one character
    every = "".join(char for char in map(chr, codes) if not char.isprintable())
    facts = {every: [every, "ü"]}
    text = printable_json(facts, indent=1)
    assert json.loads(text) == facts
    assert all(line.isprintable() for line in text.split("\n"))
