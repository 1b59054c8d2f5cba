"""Receipts: consistent in themselves, live unless replaced, and one rule for who keeps a row."""

from __future__ import annotations

import pytest

from pipeline.receipts import Part, Receipt, ShardOutcome, by_precedence, live, succession
from pipeline.records import ShardCode, ShardState


def _receipt(name: str, *replaces: str, ranges: dict[str, tuple[tuple[int, int], ...]] | None = None) -> Receipt:
    return Receipt(
        id=name,
        attempt="a",
        part=Part(path=f"data/{name}.parquet", rows=1, bytes=1, sha256="0"),
        ranges=ranges or {"000000-a": ((0, 1),)},
        totals={},
        shards={},
        replaces=tuple(f"data/{other}.parquet" for other in replaces),
    )


def _successor(name: str, *parents: Receipt) -> Receipt:
    return _receipt(name).model_copy(update={"replaces": succession(parents)})


def _ids(receipts: list[Receipt]) -> list[str]:
    return [receipt.id for receipt in receipts]


def test_survives_a_round_trip() -> None:
    receipt = Receipt(
        id="a-0",
        attempt="a",
        part=None,
        ranges={},
        totals={"000000-a": 10},
        shards={"000000-a": ShardOutcome(state=ShardState.BAD, code=ShardCode.TRUNCATED, message="cut off")},
    )
    assert Receipt.from_json(receipt.to_json(), where="x") == receipt
    assert receipt.to_json().endswith(b"}\n")


@pytest.mark.parametrize(
    "ranges", [((3, 3),), ((0, 2), (1, 4)), ((5, 6), (0, 1)), ((0, 1), (1, 2)), ((-1, 1),), ()], ids=str
)
def test_refuses_ranges_that_are_not_in_order(ranges: tuple[tuple[int, int], ...]) -> None:
    with pytest.raises(ValueError, match="row ranges of shard 000000-a"):
        _receipt("a", ranges={"000000-a": ranges})


def test_refuses_rows_without_a_part_and_ends_without_a_total() -> None:
    good = _receipt("a").model_dump()
    with pytest.raises(ValueError, match="row ranges exactly if it has a part"):
        Receipt.model_validate({**good, "part": None})
    with pytest.raises(ValueError, match="totals and shards must name the same shards"):
        Receipt.model_validate({**good, "totals": {"000000-a": 1}})


def test_replaced_parts_are_not_live() -> None:
    receipts = [_receipt("a"), _receipt("b", "a"), _receipt("c"), _receipt("d", "b")]
    assert _ids(live(receipts)) == ["c", "d"]


def test_the_smallest_id_comes_first() -> None:
    assert _ids(by_precedence([_receipt("c"), _receipt("a"), _receipt("b")])) == ["a", "b", "c"]


def test_a_replacement_takes_the_place_of_what_it_replaces() -> None:
    a, b = _receipt("a"), _receipt("b")
    z = _successor("z", a)
    receipts = [b, a, z, _successor("a.r1", a), _successor("zz", z, b)]
    assert _ids(by_precedence(receipts)) == ["a", "a.r1", "z", "zz", "b"]


def test_the_place_does_not_depend_on_which_other_receipts_are_seen() -> None:
    a, rival = _receipt("m"), _receipt("p")
    child = _successor("z", a)
    grandchild = _successor("a", child)
    for seen in ([grandchild], [child, grandchild], [a, grandchild], [a, child, grandchild]):
        seen = [*seen, rival]
        assert _ids(by_precedence(seen))[-1] == "p"
        assert sorted(_ids(live(seen))) == ["a", "p"]


def test_a_successor_names_all_its_ancestors_and_the_place_it_takes_last() -> None:
    a, b = _receipt("a"), _receipt("b")
    assert succession([_successor("c", b), a]) == ("data/c.parquet", "data/b.parquet", "data/a.parquet")
    assert succession([_successor("d", _successor("c", a))]) == ("data/d.parquet", "data/c.parquet", "data/a.parquet")
