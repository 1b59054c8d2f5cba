"""CIDEr-D (Vedantam et al. 2015, arXiv 1411.5726), sigma 6, n-grams of 1 to 4 words, over a whole corpus.

An n-gram weighs log(N / rows whose references hold it): what rare words are is known only once every row was seen.
Hence there is one scorer a corpus. Scores of shards cannot be combined, and a corpus of one row scores 0, since
nothing in it is rare: log(1 / 1).

Memory grows by 4 bytes a word and about 16 a distinct n-gram of the references, no Python object for either; everything
else is bounded by a chunk of rows.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mue_model.metrics.document_frequency import DocumentFrequency

MAX_N = 4
SIGMA = 6.0
CHUNK_WORDS = 1 << 17
"""Words that are worked on at a time."""

Ints = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]
Floats = npt.NDArray[np.float64]

_FACTOR = np.uint64(0x9E3779B97F4A7C15)


class CiderD:
    """Collects a corpus, then scores it. Equal n-grams are found by 64-bit hashes.

    Two of ten million n-grams share a hash with a probability of 3e-6, and move a score by less than 1e-6 if they do.
    """

    def __init__(self, *, chunk_words: int = CHUNK_WORDS) -> None:
        self._chunk_words = chunk_words
        self._ids: dict[str, int] = {}
        self._words = array("I")
        self._caption_ends = array("Q", [0])
        self._row_ends = array("Q", [0])
        self._scores: Floats | None = None

    def __len__(self) -> int:
        """Rows added."""
        return len(self._row_ends) - 1

    def add(self, candidate: Sequence[str], references: Sequence[Sequence[str]]) -> None:
        """Add one row of the corpus.

        Raises:
            ValueError: The row has no reference, or the corpus was scored already.
        """
        if not references:
            raise ValueError("CIDEr-D needs at least one reference of each row")
        if self._scores is not None:
            raise ValueError(
                "this corpus was scored already: another row changes every score of CIDEr-D, "
                "so add all rows of all shards first"
            )
        for caption in (candidate, *references):
            self._words.extend(self._ids.setdefault(word, len(self._ids)) for word in caption)
            self._caption_ends.append(len(self._words))
        self._row_ends.append(len(self._caption_ends) - 1)

    def scores(self) -> Floats:
        """Return the score of each row, 0 to 10, in the order they were added; their mean is the corpus's score.

        Raises:
            ValueError: There is no row.
        """
        if not len(self):
            raise ValueError("CIDEr-D of a corpus without a row")
        if self._scores is None:
            frequencies = self._document_frequencies()
            self._scores = np.concatenate([_chunk_scores(chunk, frequencies) for chunk in self._chunks()])
        return self._scores

    def _document_frequencies(self) -> list[DocumentFrequency]:
        frequencies = [DocumentFrequency(len(self)) for _ in range(MAX_N)]
        for chunk in self._chunks():
            for frequency, (caption, ngram) in zip(frequencies, chunk.ngrams(), strict=True):
                kept = ~chunk.is_candidate[caption]
                frequency.add(chunk.row_of[caption[kept]], ngram[kept])
        return frequencies

    def _chunks(self) -> Iterator[_Chunk]:
        """Whole rows, as many as have `chunk_words` words between them, at least one."""
        words = np.frombuffer(self._words, np.uint32) if self._words else np.empty(0, np.uint32)
        ends = np.frombuffer(self._caption_ends, np.uint64).astype(np.int64)
        row_ends = np.frombuffer(self._row_ends, np.uint64).astype(np.int64)
        words_before = ends[row_ends]
        first = 0
        while first < len(self):
            last = int(np.searchsorted(words_before, words_before[first] + self._chunk_words, side="right")) - 1
            last = min(max(last, first + 1), len(self), first + self._chunk_words)
            captions = ends[row_ends[first] : row_ends[last] + 1]
            yield _Chunk(
                words=words[captions[0] : captions[-1]],
                lengths=np.diff(captions),
                row_of=np.repeat(np.arange(last - first), np.diff(row_ends[first : last + 1])),
            )
            first = last


@dataclass(frozen=True)
class _Chunk:
    """Some rows with all their captions; the first caption of a row is its candidate, the others are references."""

    words: npt.NDArray[np.uint32]
    lengths: Ints
    """Words of each caption."""
    row_of: Ints
    """Row of each caption, counted from 0 in this chunk."""

    @property
    def is_candidate(self) -> npt.NDArray[np.bool_]:
        """Whether each caption is its row's candidate."""
        return np.diff(self.row_of, prepend=-1) == 1

    def ngrams(self) -> Iterable[tuple[Ints, Hashes]]:
        """Yield for n = 1..4 every n-gram of every caption, as caption and hash."""
        caption = np.repeat(np.arange(len(self.lengths)), self.lengths)
        word = _mixed(self.words.astype(np.uint64) + np.uint64(1))
        ngram = word
        yield caption, ngram
        for n in range(2, MAX_N + 1):
            ngram = _mixed(ngram[:-1] * _FACTOR + word[n - 1 :])
            inside = caption[: len(ngram)] == caption[n - 1 :]
            yield caption[: len(ngram)][inside], ngram[inside]


def _mixed(values: Hashes) -> Hashes:
    """Spread 64-bit integers evenly, one to one (the finaliser of splitmix64, Steele et al. 2014)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _chunk_scores(chunk: _Chunk, frequencies: Sequence[DocumentFrequency]) -> Floats:
    """Return the CIDEr-D of each row: the mean over n and references of the clipped cosine, times ten."""
    n_captions = len(chunk.lengths)
    total = np.zeros(n_captions)
    for frequency, (caption, ngram) in zip(frequencies, chunk.ngrams(), strict=True):
        total += _similarity_to_candidate(chunk, frequency, caption, ngram)
    candidate_length = chunk.lengths[chunk.is_candidate][chunk.row_of]
    total *= np.exp(-((chunk.lengths - candidate_length) ** 2) / (2 * SIGMA**2))
    total[chunk.is_candidate] = 0.0
    n_references = np.bincount(chunk.row_of) - 1
    scores: Floats = 10.0 * np.bincount(chunk.row_of, total) / (MAX_N * n_references)
    return scores


def _similarity_to_candidate(chunk: _Chunk, frequency: DocumentFrequency, caption: Ints, ngram: Hashes) -> Floats:
    """Return for each caption, by tf-idf over n-grams of one n, sum(min(candidate, own) * own) / (norms)."""
    n_captions = len(chunk.lengths)
    kinds, kind = np.unique(ngram, return_inverse=True)
    # One entry for each caption and kind of n-gram, in order of caption.
    entries, count = np.unique(caption * len(kinds) + kind, return_counts=True)
    caption, kind = np.divmod(entries, max(1, len(kinds)))
    weight = count * frequency.idf(kinds)[kind]
    norm = np.sqrt(np.bincount(caption, weight**2, minlength=n_captions))

    # The weight in the row's candidate, looked up by row and kind; the sentinel stands for what it does not say.
    slot = chunk.row_of[caption] * len(kinds) + kind
    of_candidate = chunk.is_candidate[caption]
    candidate_slots = np.append(slot[of_candidate], np.iinfo(np.int64).max)
    candidate_weights = np.append(weight[of_candidate], 0.0)
    place = np.searchsorted(candidate_slots, slot)
    candidate_weight = np.where(candidate_slots[place] == slot, candidate_weights[place], 0.0)
    dot = np.bincount(caption, np.minimum(candidate_weight, weight) * weight, minlength=n_captions)

    norms = norm * norm[chunk.is_candidate][chunk.row_of]
    similarity: Floats = np.divide(dot, norms, out=np.zeros(n_captions), where=norms > 0)
    return similarity
