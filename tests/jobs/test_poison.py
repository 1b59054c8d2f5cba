from __future__ import annotations

import pytest

from jobs.poison import TooMuchPoison, check_poison

ROWS = {("000001-b", 2), ("000000-a", 7)}


def test_as_many_as_are_allowed_pass_and_one_more_is_named() -> None:
    check_poison(ROWS, allowed=2)
    with pytest.raises(TooMuchPoison, match=r"2 rows .*\.max_poison_rows is 1: 000000-a/7/0, 000001-b/2/0\. If"):
        check_poison(ROWS, allowed=1)
