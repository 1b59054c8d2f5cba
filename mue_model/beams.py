"""Beam search over one row, as OFA generates: host side, no torch. Who runs the model gives the candidates.

At every step the best 2 x beams continuations of all beams compete. One that ends and is among the best `beams` of
them is finished, with its log-probability divided by its length; the best `beams` that go on are the next beams. The
search ends with as many finished texts as beams, or at the last step, where nothing but the end is permitted.
"""

from __future__ import annotations

from collections.abc import Sequence


class BeamSearch:
    """The beams of one row, best first."""

    def __init__(self, beams: int, max_tokens: int, end: int) -> None:
        self.beams, self.max_tokens, self.end = beams, max_tokens, end
        self.scores: list[float] = [0.0] + [float("-inf")] * (beams - 1)
        """Sum of log-probabilities of each beam; at first all but one are the same empty text, and out of the race."""
        self.tokens: list[tuple[int, ...]] = [()] * beams
        self._finished: list[tuple[float, tuple[int, ...]]] = []

    @property
    def must_end(self) -> bool:
        """Whether the next token is the last one."""
        return len(self.tokens[0]) + 1 >= self.max_tokens

    @property
    def done(self) -> bool:
        """Whether the search has ended."""
        return len(self._finished) >= self.beams or len(self.tokens[0]) >= self.max_tokens

    @property
    def best(self) -> tuple[int, ...]:
        """Return the text with the highest log-probability per token, the first found of equals."""
        return max(self._finished, key=lambda finished: finished[0])[1]

    def advance(self, scores: Sequence[float], parents: Sequence[int], tokens: Sequence[int]) -> list[int]:
        """Take the best 2 x beams continuations, best first; return which beam each of the next ones continues.

        Args:
            scores: Sum of log-probabilities of each continuation.
            parents: The beam that it continues.
            tokens: What it adds.
        """
        length = len(self.tokens[0]) + 1
        following: list[tuple[float, int, tuple[int, ...]]] = []
        for rank, (score, parent, token) in enumerate(zip(scores, parents, tokens, strict=True)):
            text = (*self.tokens[parent], token)
            if token != self.end:
                following.append((score, parent, text))
            elif rank < self.beams and score != float("-inf") and len(self._finished) < self.beams:
                self._finished.append((score / length, text))
        following = following[: self.beams]
        while len(following) < self.beams:  # so small a vocabulary that too few go on
            following.append((float("-inf"), 0, (*self.tokens[0], self.end)))
        self.scores = [score for score, _, _ in following]
        self.tokens = [text for _, _, text in following]
        return [parent for _, parent, _ in following]
