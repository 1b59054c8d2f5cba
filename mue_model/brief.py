"""Values as messages show them: short, whatever a stranger's file holds, and without the logins of URLs."""

from __future__ import annotations

import datetime
import enum
import math
import pathlib
import re
import reprlib
from typing import Any

_LONGEST = 120
_LOOKED_THROUGH = 4096
"""Characters of a text that are kept at all; far more than are shown."""
_MOST_BITS = 256
_PLAIN = (int, float, complex, bytes, type(None), enum.Enum, datetime.date, datetime.time, pathlib.PurePath)
"""Types whose own `repr` is in proportion to what is shown of it."""
_LOGIN = re.compile(r"""(?<=//)[^\s'"]*@ | [^\s'"@/:=]+:(?!//)[^\s'"@]+@""", re.VERBOSE)
"""`user:password@`, or all that stands before the last `@` of a URL: a password may hold anything."""
_PARAMETER = re.compile(r"""([?&;\#][^=&;\#\s'"]{1,200}=)[^&;\#\s'"]+""", re.VERBOSE)


class _Brief(reprlib.Repr):
    def repr_str(self, x: str, level: int) -> str:
        return super().repr_str(masked(x), level)

    def repr_int(self, x: int, level: int) -> str:
        if x.bit_length() > _MOST_BITS:  # Python refuses to write the longest ones
            return f"<a whole number of {math.ceil(x.bit_length() * math.log10(2)):,} digits>"
        return super().repr_int(x, level)

    def repr_instance(self, x: Any, level: int) -> str:
        return super().repr_instance(x, level) if isinstance(x, _PLAIN) else f"<{type(x).__name__}>"


_BRIEF = _Brief()
_BRIEF.maxstring = _BRIEF.maxother = _LONGEST
_BRIEF.maxlevel = 3


def brief(value: Any) -> str:
    """Return `value` much as `repr` does, short whatever it holds: aliases of YAML make much of a small file."""
    return _BRIEF.repr(value)


def masked(text: str) -> str:
    """Return `text` without logins and values of parameters of the URLs in it; the middle of a long one goes."""
    if len(text) > _LOOKED_THROUGH:
        text = text[: _LOOKED_THROUGH // 2] + text[-_LOOKED_THROUGH // 2 :]
    text = _LOGIN.sub("…@", text)
    return _PARAMETER.sub(r"\1…", text) if "://" in text else text


def cut(text: str, longest: int = _LONGEST) -> str:
    """Return `text`, its end left out where it is longer."""
    return text if len(text) <= longest else text[: longest - 3] + "..."
