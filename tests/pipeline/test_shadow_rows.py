"""Which rows of a call are run again, and what is committed of it."""

from __future__ import annotations

import numpy as np
import pytest

from mue_model import costs
from mue_model.marked_rows import marked_uid
from mue_model.model_names import model_facts
from mue_model.rows import ExitTrace, RowError, RowInput, RowResult
from pipeline.shadow_rows import row_to_shadow, shadows_by_uid
from pipeline.shadow_selection import ShadowSelection

MODEL = model_facts("seeded").config
E, D = MODEL.encoder_layers, MODEL.decoder_layers


def result(uid: str, *, image: int = E, text: str | None = "a dog", label: str | None = None) -> RowResult:
    trace = ExitTrace(
        grid=(2, 2),
        prompt_tokens=4,
        image=image,
        text=E,
        decoder=(D, D),
        checks=(0, 0, 0),
        kv_fills=0,
        cross_kv_layers=D,
    )
    return RowResult(uid=uid, text=text, label=label, tokens=(5, 2), trace=trace)


def failed(uid: str) -> RowResult:
    return RowResult(uid=uid, error=RowError(code="nonfinite", message="NaN"))


def test_rows_are_chosen_by_the_depth_that_they_ran_and_failed_ones_never() -> None:
    names = [f"000000-a/{n}/0" for n in range(6)]
    rows = [RowInput(uid=uid, pixels=np.zeros((16, 16, 3), np.uint8), prompt_ids=(0, 2)) for uid in names]
    results = [failed(uid) if n == 4 else result(uid, image=E if n % 2 else 1) for n, uid in enumerate(names)]

    def chosen(selection: ShadowSelection) -> list[str]:
        again = [row_to_shadow(*pair, selection) for pair in zip(rows, results, strict=True)]
        return [row.uid for row in again if row is not None]

    only_full = ShadowSelection(seed=0, rates={"full": 1.0}, encoder_layers=E, decoder_layers=D)
    assert chosen(only_full) == [marked_uid(names[n]) for n in (1, 3, 5)]
    all_but = ShadowSelection(
        seed=0, rates={"shallow": 1.0, "middle": 1.0, "deep": 1.0}, encoder_layers=E, decoder_layers=D
    )
    assert chosen(all_but) == [marked_uid(names[n]) for n in (0, 2)]


@pytest.mark.parametrize(
    ("own", "full", "text", "agrees"),
    [
        ({"text": "a dog"}, {"text": "a dog"}, "a dog", True),
        ({"text": "a dog"}, {"text": "a cat"}, "a cat", False),
        ({"text": "yes", "label": "entailment"}, {"text": "no", "label": "contradiction"}, "contradiction", False),
        ({"text": "yes", "label": "entailment"}, {"text": "yes", "label": "entailment"}, "entailment", True),
    ],
)
def test_texts_must_agree_or_labels_where_answers_are_chosen(
    own: dict[str, str], full: dict[str, str], text: str, agrees: bool
) -> None:
    found = shadows_by_uid([result("a", image=1, **own)], [result(marked_uid("a"), **full)], MODEL)
    trace = result("a").trace
    assert trace is not None
    assert found == {
        "a": {
            "text": text,
            "n_tokens": 2,
            "layers": [E, E, D, D],
            "flops": costs.row_flops(MODEL, trace).full_same_length,
            "agrees": agrees,
        }
    }


def test_a_shadow_that_failed_is_absent_and_its_neighbour_is_there() -> None:
    shadows = [failed(marked_uid("a")), result(marked_uid("b"))]
    assert list(shadows_by_uid([result("a"), result("b"), result("c")], shadows, MODEL)) == ["b"]
