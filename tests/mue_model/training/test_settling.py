"""The ranking of similarities against pairs counted by hand, and what following it does to them."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from mue_model.training.settling import MARGIN, answer_ranking, stream_ranking, token_ranking


def turned(before: Tensor, cosines: list[float]) -> Tensor:
    """States [N, 1, 2] that have these similarities to unit ones."""
    angles = torch.tensor(cosines, dtype=torch.float64).acos()
    start = torch.atan2(before[:, 0, 1], before[:, 0, 0])
    return torch.stack([(start + angles).cos(), (start + angles).sin()], dim=1)[:, None]


def test_each_layer_ranks_rows_that_have_reached_their_depth_above_the_others() -> None:
    states = [torch.tensor([[[1.0, 0.0]]] * 3, dtype=torch.float64)]
    for cosines in ([0.9, 0.9, 0.5], [0.95, 0.94, 0.9], [0.1, 0.2, 0.3]):
        states.append(turned(states[-1], cosines))
    # After one layer row 0 has settled: it leads row 1 by nothing, row 2 by far. After two, row 2 alone has not.
    first = torch.tensor([1, 2, 3])
    expected = ((1.0 + 0.0) / 2 + 0.0) / 2
    assert float(stream_ranking(states, first)) == pytest.approx(expected, abs=1e-6)
    assert float(stream_ranking(states, torch.tensor([3, 3, 1]))) > 10, "the wrong way round"


def test_layers_where_all_rows_or_none_have_settled_ask_for_nothing() -> None:
    states = [torch.randn(4, 2, 3) for _ in range(4)]
    assert float(stream_ranking(states, torch.full((4,), 1))) == 0
    assert float(stream_ranking(states, torch.full((4,), 3))) == 0


def test_a_token_has_settled_if_the_last_layer_would_say_the_same() -> None:
    torch.manual_seed(1)
    states = [torch.randn(6, 5) for _ in range(4)]
    logits = [torch.eye(3)[torch.tensor(said)] for said in ([0] * 6, [0, 1, 2, 0, 1, 2], [0, 0, 0, 0, 1, 2], [0] * 6)]
    expected = []
    for layer, settled in ((1, [0, 3]), (2, [0, 1, 2, 3])):
        similarity = functional.cosine_similarity(states[layer - 1], states[layer], dim=1).tolist()
        pairs = [(i, j) for i in settled for j in range(6) if j not in settled]
        expected.append(sum(max(0, 1 - (similarity[i] - similarity[j]) / MARGIN) for i, j in pairs) / len(pairs))
    assert float(token_ranking(states, logits)) == pytest.approx(sum(expected) / 2, rel=1e-5)


def test_an_answer_has_settled_if_none_of_its_scored_tokens_would_change() -> None:
    torch.manual_seed(3)
    states = [torch.randn(3, 4, 5) for _ in range(4)]
    scored = torch.tensor([[False, True, True, False], [True, False, False, False], [False, False, True, True]])
    # By scored token, row by row: two of row 0, one of row 1, two of row 2. Row 2 changes after two layers, in one of
    # its two; row 1 after two and after three.
    said = ([0] * 5, [0, 0, 1, 2, 0], [0, 0, 1, 0, 0], [0] * 5)
    logits = [torch.eye(3)[torch.tensor(each)] for each in said]
    expected = []
    for layer, settled in ((1, [0]), (2, [0, 2])):
        similarity = functional.cosine_similarity(
            states[layer - 1].flatten(1), states[layer].flatten(1), dim=1
        ).tolist()
        pairs = [(i, j) for i in settled for j in range(3) if j not in settled]
        expected.append(sum(max(0, 1 - (similarity[i] - similarity[j]) / MARGIN) for i, j in pairs) / len(pairs))
    assert sum(expected) > 0
    assert float(answer_ranking(states, scored, logits)) == pytest.approx(sum(expected) / 2, rel=1e-5)


def test_following_it_tells_the_rows_apart() -> None:
    torch.manual_seed(2)
    states = [torch.randn(8, 2, 4, requires_grad=True) for _ in range(3)]
    first = torch.tensor([1] * 4 + [2] * 4)
    optimiser = torch.optim.SGD(states, lr=0.2)
    for _ in range(200):
        optimiser.zero_grad()
        loss = stream_ranking(states, first)
        loss.backward()
        optimiser.step()
    before, after = (state.detach().flatten(1) for state in states[:2])
    similarity = functional.cosine_similarity(before, after)
    assert float(similarity[:4].min() - similarity[4:].max()) > 0.9 * MARGIN
