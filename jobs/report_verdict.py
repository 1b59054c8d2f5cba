"""The first screen of a report in plain words: what was spared, whether answers changed, and how well that is known.

Three savings, never one; what was not measured is said to be so, with what to run.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from jobs.interval import Interval, NotMeasured
from jobs.savings import Savings
from jobs.savings_census import share
from jobs.shadow_estimate import ShadowEstimate
from jobs.timing_windows import TimingWindows


@dataclass(frozen=True, kw_only=True)
class Card:
    """One number that must not stand for another."""

    letter: str
    question: str
    value: str | None
    """None: not measured."""
    range: str
    """The interval, or why there is none."""
    says: str
    boundary: str
    """What is in it and what is not."""
    clear: bool = True
    """The range leaves no doubt about the direction."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What a reader takes away who reads nothing else."""

    headline: str
    sentences: tuple[str, ...]
    cards: tuple[Card, ...]


def verdict(savings: Savings, *, finished: bool, caveat: str | None) -> Verdict:
    """Return what may be said of a job, and no more.

    Args:
        savings: Of the job.
        finished: Whether every input row is committed, and a manifest vouches for it.
        caveat: What is known against the model's texts.
    """
    total = savings.total
    rows = total.rows_ok + total.rows_failed + total.rows_filtered
    sentences = []
    if not finished:
        sentences.append("The job is not finished: all figures are of the rows committed so far.")
    sentences.append(
        f"{total.rows_ok:,} of {rows:,} rows were answered"
        + (f"; {rows - total.rows_ok:,} were not, and count as no saving." if rows > total.rows_ok else ".")
    )
    sentences += [*_net(savings), *_unreadable(savings), _answers(savings.counterfactual), _time(savings.time)]
    if caveat:
        sentences.append(f"{caveat[0].upper()}{caveat[1:]}.")
    return Verdict(
        headline=_headline(savings),
        sentences=tuple(sentences),
        cards=(
            _census_card(savings),
            _full_depth_card(savings.counterfactual),
            _time_card(savings.time),
            _agreement_card(savings.counterfactual),
        ),
    )


def percent(value: float | None, digits: int = 1) -> str:
    """Return a share in per cent; never `-0.0`."""
    if value is None:
        return "unknown"
    if not math.isfinite(value):
        return "no bound"
    return f"{100 * value + 0.0:.{digits}f} %".replace("-0.0 %", "0.0 %")


def interval(found: Interval) -> str:
    """Return the range in words."""
    return f"{percent(found.low)} to {percent(found.high)}, with {found.confidence:.0%} confidence"


def _headline(savings: Savings) -> str:
    """The saving with all overheads but the audit's own, and the time beside it where that is known.

    What an audit cost stands in the next sentences; where no time is known, here.
    """
    full = savings.total.flops_full_same_length
    audit = savings.total.flops_shadow
    spared = share(savings.flops_net + audit, full)
    if spared is None:
        return "No row has an answer yet, so there is nothing to compare"
    most, least = _bounds(savings)
    if round(spared, 4) == 0:
        said = "Stopping early spared nothing of the model's arithmetic"
    elif spared < 0:
        said = f"Stopping early cost more than it spared: {least}{percent(-spared)} more arithmetic"
    else:
        said = f"Stopping early spared {most}{percent(spared)} of the model's arithmetic"
    if isinstance(savings.time, TimingWindows) and _is_clear(savings.time):
        saved = 1 - savings.time.point_ratio
        took = f"took {percent(abs(saved))} {'less' if saved > 0 else 'more'} time"
        turn = "and" if (saved > 0) == (spared > 0) else "but"
        return f"{said} {turn} {took}"
    return f"{said}; the audit of it cost {percent(share(audit, full))}" if audit else f"{said}, overheads included"


def _net(savings: Savings) -> list[str]:
    net = share(savings.flops_net, savings.total.flops_full_same_length)
    if net is None or not savings.total.flops_shadow:
        return []
    most, least = _bounds(savings)
    change = f"{most}{percent(net)} less" if net >= 0 else f"{least}{percent(-net)} more"
    return [f"With the audit and every other overhead, this run did {change} arithmetic than full depth."]


def _bounds(savings: Savings) -> tuple[str, str]:
    """Return the words before what was spared and before what was spent, where not all overheads are known."""
    return ("at most ", "at least ") if savings.discarded.is_lower_bound else ("", "")


def _unreadable(savings: Savings) -> list[str]:
    files = savings.discarded.files_unreadable
    if not files:
        return []
    which = (
        "1 file of rows computed once more than they count is"
        if files == 1
        else (f"{files:,} files of rows computed once more than they count are")
    )
    return [f"{which} gone or cannot be read: overheads are at least what is said, and the net saving at most."]


def _answers(found: ShadowEstimate | NotMeasured) -> str:
    if isinstance(found, NotMeasured):
        return "Whether answers changed was not checked."
    said = f"In a check of {found.shadowed:,} rows, full depth gave another answer to {found.disagreed:,}"
    if found.margin is None:
        return f"{said}; no limit was declared beforehand."
    kept = "shown to be kept" if found.margin_met else "not shown to be kept"
    limit = "the limit declared beforehand" if found.margin_from == "plan" else "the limit named after the run"
    return f"{said}; {limit}, {percent(found.margin)}, is {kept}."


def _is_clear(found: TimingWindows) -> bool:
    """Whether the interval lies on one side of no saving; a single window has none, and is no proof."""
    interval = found.saved_share
    return interval is not None and (interval.low > 0 or interval.high < 0)


def _time(found: TimingWindows | NotMeasured) -> str:
    if isinstance(found, NotMeasured):
        return "Whether it saved time was not measured."
    saved = 1 - found.point_ratio
    if not _is_clear(found):
        return "Time was measured, but too few or too unsteady windows leave open whether any was saved."
    direction = "less" if saved >= 0 else "more"
    when = "in the run" if found.source == "run" else "in an audit after the run"
    return f"Side by side {when}, the model took {percent(abs(saved))} {direction} time with early exit."


def _census_card(savings: Savings) -> Card:
    total = savings.total
    gross = share(total.flops_saved_by_early_exit, total.flops_full_same_length)
    net = share(savings.flops_net, total.flops_full_same_length)
    return Card(
        letter="a",
        question="How much arithmetic was spared, for the words that were written?",
        value=None if gross is None else percent(gross),
        range="counted row by row: exact, no interval" if gross is not None else "no row has an answer",
        says=_sentence(
            f"{_bounds(savings)[0]}{percent(net)} with every overhead in FLOPs taken off, the audit's own too."
        )
        if gross is not None
        else "",
        boundary="In it: the model's matrix products and convolutions. Not in it: reading and decoding images, "
        "loading the model, and what longer or shorter texts would have cost.",
    )


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _full_depth_card(found: ShadowEstimate | NotMeasured) -> Card:
    question = "And against what full depth would have written?"
    if isinstance(found, NotMeasured):
        return Card(letter="b", question=question, value=None, range=found.reason, says="", boundary=_NOT_B)
    return Card(
        letter="b",
        question=question,
        value=percent(found.saved_share.estimate),
        range=interval(found.saved_share),
        says=f"From {found.shadowed:,} of {found.rows:,} rows, run again at full depth, {_when(found)}.",
        boundary=_NOT_B,
    )


def _when(found: ShadowEstimate) -> str:
    if found.source == "run":
        return "chosen by a rule fixed before the run"
    which = "in an audit after the run" if found.audits < 2 else f"in the latest of {found.audits} audits after the run"
    return which + (", chosen by a rule fixed before it" if found.rule_from == "plan" else "")


_NOT_B = (
    "Full depth may write longer or shorter texts, so this number may differ from (a). Same boundary; overheads are "
    "not taken off."
)


def _time_card(found: TimingWindows | NotMeasured) -> Card:
    question = "How much of the model's time was spared?"
    boundary = (
        "Time inside the warm model, with and without early exit in turns in the same process. Not in it: start, "
        "loading, reading and decoding, waiting."
    )
    if isinstance(found, NotMeasured):
        return Card(letter="c", question=question, value=None, range=found.reason, says="", boundary=boundary)
    when = "" if found.source == "run" else ", in an audit after the run"
    # No more than all of the time can be saved, whatever an interval over a few windows says.
    ranged = "one window alone: no interval"
    if (saved := found.saved_share) is not None:
        ranged = interval(replace(saved, high=min(saved.high, 1.0)))
        ranged += "" if _is_clear(found) else ": too unsteady to tell"
    return Card(
        letter="c",
        question=question,
        value=percent(1 - found.point_ratio),
        range=ranged,
        says=f"From {len(found.windows):,} windows, each run both ways{when}.",
        boundary=boundary,
        clear=_is_clear(found),
    )


def _agreement_card(found: ShadowEstimate | NotMeasured) -> Card:
    question = "Are the answers those of full depth?"
    boundary = (
        "The same text, word for word, or the same label. Another text is not always a worse one; whether answers are "
        "right is for 'mue eval' to say."
    )
    if isinstance(found, NotMeasured):
        return Card(letter="", question=question, value=None, range=found.reason, says="", boundary=boundary)
    lost, worst = "", found.agreement_if_lost_disagree
    if found.lost:
        lost = (
            f" {found.lost:,} chosen rows have no result at full depth; if all of those differed, "
            f"{percent(worst.estimate)} would agree ({interval(worst)})."
        )
    return Card(
        letter="",
        question=question,
        value=percent(found.agreement.estimate),
        range=interval(found.agreement),
        says=f"{found.shadowed - found.disagreed:,} of {found.shadowed:,} checked rows have the same answer.{lost}",
        boundary=boundary,
    )
