from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

from mue_model.layers import attend_fused
from mue_model.loading import use_kernel
from mue_model.processor import Processor
from mue_model.training.checkpoints import TrainingMismatch
from mue_model.training.examples import Example
from mue_model.training.reports import Report
from mue_model.training.settings import TrainingError
from mue_model.training.trainer import Trainer
from mue_model.training.validation import Validation, Validator

MakeTrainer = Callable[..., Trainer]
Bits = Callable[[Trainer], torch.Tensor]


def stops_after(steps: int) -> Callable[[], bool]:
    calls: Iterator[int] = itertools.count()
    return lambda: next(calls) >= steps


def untimed(trainer: Trainer) -> list[dict[str, Any]]:
    return [{key: value for key, value in line.items() if key != "step_s"} for line in trainer.metrics.read()]


def test_every_layer_learns_a_toy_corpus(
    make_trainer: MakeTrainer, examples: list[Example], processor: Processor
) -> None:
    recipe = {"learning_rate": 5e-3, "batch_rows": 12, "entailment_share": 0.2}
    trainer = make_trainer(steps=70, recipe=recipe, report_every=10, validator=Validator(examples, processor))
    reports = Witness()
    trainer.run(reports)
    first, last = reports.reports[0], reports.reports[-1]
    assert [report.step for report in reports.reports] == list(range(10, 71, 10))
    assert last.loss < first.loss / 2
    assert all(
        later < earlier / 2 for earlier, later in zip(*(r.cross_entropy["caption"] for r in (first, last)), strict=True)
    )
    assert reports.steps == [(step, rows) for step, (_, rows) in enumerate(reports.steps, 1)]
    assert {rows for _, rows in reports.steps} == {12, 4}
    accuracy = reports.validations[-1].tasks["caption"].token_accuracy
    assert min(accuracy) > 0.6


@pytest.mark.parametrize("stop_at", [7, 10])
def test_a_resumed_run_is_the_undisturbed_one_to_the_bit(
    make_trainer: MakeTrainer, bits_of: Bits, stop_at: int
) -> None:
    settings = {"steps": 12, "report_every": 5, "checkpoint_every": 4}
    whole = make_trainer("whole", **settings)
    whole.run()
    cut = make_trainer("cut", **settings)
    cut.run(stop=stops_after(stop_at))
    resumed = make_trainer("cut", **settings)
    assert resumed.resume()
    assert resumed.step == cut.step == stop_at
    resumed.run()
    assert torch.equal(bits_of(whole), bits_of(resumed))
    assert untimed(whole) == untimed(resumed)


def test_a_run_ended_on_purpose_is_the_same_run_up_to_there(make_trainer: MakeTrainer, bits_of: Bits) -> None:
    whole, cut = make_trainer("whole", steps=12), make_trainer("cut", steps=12, stop_after=7)
    whole.run()
    cut.run()
    assert cut.step == 7
    rest = make_trainer("cut", steps=12)
    assert rest.resume()
    rest.run()
    assert torch.equal(bits_of(whole), bits_of(rest))


def test_what_a_kill_leaves_is_taken_up_at_the_last_checkpoint(make_trainer: MakeTrainer, bits_of: Bits) -> None:
    settings = {"steps": 12, "report_every": 2, "checkpoint_every": 4}
    whole = make_trainer("whole", **settings)
    whole.run()
    killed = make_trainer("killed", **settings)
    with pytest.raises(KeyboardInterrupt):
        killed.run(stop=raises_after(7))
    with killed.metrics.path.open("a") as file:
        file.write('{"event": "training", "step": 8, "cross_entropy": {"caption": [1.0]}')  # cut inside the line
    resumed = make_trainer("killed", **settings)
    assert resumed.resume()
    assert resumed.step == 4
    resumed.run()
    assert torch.equal(bits_of(whole), bits_of(resumed))
    assert untimed(whole) == untimed(resumed)
    assert [line["step"] for line in resumed.metrics.read()] == [2, 4, 6, 8, 10, 12]


def test_metrics_of_a_run_killed_before_its_first_checkpoint_are_forgotten(make_trainer: MakeTrainer) -> None:
    settings = {"steps": 6, "report_every": 1, "checkpoint_every": 6}
    with pytest.raises(KeyboardInterrupt):
        make_trainer(**settings).run(stop=raises_after(3))
    again = make_trainer(**settings)
    assert not again.resume()
    again.run()
    assert [line["step"] for line in again.metrics.read()] == [1, 2, 3, 4, 5, 6]


def test_reports_checkpoints_and_validation_change_nothing(
    make_trainer: MakeTrainer, bits_of: Bits, examples: list[Example], processor: Processor
) -> None:
    seldom = make_trainer("seldom", report_every=100, checkpoint_every=100)
    seldom.run()
    often = make_trainer(
        "often", report_every=1, checkpoint_every=3, validate_every=2, validator=Validator(examples[:6], processor)
    )
    often.run()
    assert torch.equal(bits_of(seldom), bits_of(often))
    assert sum(line["event"] == "validation" for line in often.metrics.read()) == 6


def test_how_often_it_reports_may_change_when_a_run_resumes(make_trainer: MakeTrainer) -> None:
    make_trainer(report_every=2).run(stop=stops_after(5))
    assert make_trainer(report_every=3, checkpoint_every=1, validate_every=1).resume()


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"recipe": {"learning_rate": 0.5}}, "recipe.learning_rate is 0.5, was 0.001"),
        ({"steps": 13}, "steps is 13, was 12"),
        ({"seed": 1}, "seed is 1, was 0"),
        ({"origin": {"corpus": "b"}}, "origin.corpus is 'b', was 'a'"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused(make_trainer: MakeTrainer, changes: dict[str, Any], named: str) -> None:
    make_trainer(origin={"corpus": "a"}).run(stop=stops_after(2))
    other = make_trainer(**({"origin": {"corpus": "a"}} | changes))
    with pytest.raises(TrainingMismatch, match=named):
        other.resume()


def test_another_seed_takes_other_batches(make_trainer: MakeTrainer) -> None:
    losses = []
    for seed in (0, 1):
        trainer = make_trainer(f"seed {seed}", seed=seed, steps=2, report_every=1)
        trainer.run()
        losses.append([line["loss"] for line in trainer.metrics.read()])
    assert losses[0] != losses[1]


def test_a_loss_that_is_not_finite_ends_the_run_before_the_weights_are_hurt(
    make_trainer: MakeTrainer, bits_of: Bits
) -> None:
    trainer = make_trainer(checkpoint_every=2)
    trainer.run(stop=stops_after(2))
    with torch.no_grad():
        trainer.model.decoder.layer_norm.bias[0] = float("nan")
    before = [p.clone() for p in trainer.model.decoder.layers.parameters()]
    with pytest.raises(TrainingError, match="loss is nan at step 2"):
        trainer.run()
    assert all(torch.equal(a, b) for a, b in zip(before, trainer.model.decoder.layers.parameters(), strict=True))
    assert make_trainer(checkpoint_every=2).resume()


def test_frozen_statistics_stay_and_others_move(make_trainer: MakeTrainer) -> None:
    for frozen in (True, False):
        trainer = make_trainer(f"frozen {frozen}", steps=2, recipe={"freeze_batch_norm": frozen})
        before = trainer.model.encoder.embed_images.bn1.running_mean.clone()
        trainer.run()
        assert torch.equal(before, trainer.model.encoder.embed_images.bn1.running_mean) is frozen


def test_half_precision_with_the_fused_kernel_trains_alike(make_trainer: MakeTrainer) -> None:
    """What CUDA does, as far as a CPU can show it."""
    losses = []
    for precision in ("auto", "bfloat16"):
        trainer = make_trainer(precision, steps=4, report_every=1, precision=precision)
        assert trainer.half is (precision == "bfloat16")
        if trainer.half:
            use_kernel(trainer.model, attend_fused)
        trainer.run()
        assert {parameter.dtype for parameter in trainer.model.parameters()} == {torch.float32}
        losses.append([line["loss"] for line in trainer.metrics.read()])
    assert losses[1] == pytest.approx(losses[0], rel=0.02)
    assert losses[0] != losses[1]


def test_pairs_learn_both_tasks_at_every_step(make_trainer: MakeTrainer, examples: list[Example]) -> None:
    asked = [example for example in examples if example.hypotheses]
    trainer = make_trainer(steps=2, report_every=1, recipe={"paired": True}, examples=asked)
    trainer.run()
    for line in trainer.metrics.read():
        assert set(line["cross_entropy"]) == {"caption", "entailment"}
        assert line["rows"] == 6


def test_rows_without_hypotheses_need_a_recipe_for_captions_alone(
    make_trainer: MakeTrainer, examples: list[Example]
) -> None:
    bare = [Example(example.pixels, example.captions, (), 1) for example in examples]
    with pytest.raises(TrainingError, match=r"--set recipe\.entailment_share=0"):
        make_trainer(examples=bare)
    make_trainer("captions", steps=1, recipe={"entailment_share": 0}, examples=bare).run()


def test_lines_are_json_with_all_that_is_reported(make_trainer: MakeTrainer) -> None:
    trainer = make_trainer(steps=3, report_every=2)
    trainer.run()
    lines = [json.loads(line) for line in trainer.metrics.path.read_text().splitlines()]
    assert [line["step"] for line in lines] == [2, 3]
    assert all(line["event"] == "training" and line["step_s"] > 0 for line in lines)
    assert all(len(layers) == 3 for line in lines for layers in line["cross_entropy"].values())


def raises_after(steps: int) -> Callable[[], bool]:
    """As a kill does, end without a checkpoint."""
    calls: Iterator[int] = itertools.count()

    def stop() -> bool:
        if next(calls) >= steps:
            raise KeyboardInterrupt
        return False

    return stop


class Witness:
    def __init__(self) -> None:
        self.steps: list[tuple[int, int]] = []
        self.reports: list[Report] = []
        self.validations: list[Validation] = []

    def stepped(self, step: int, rows: int) -> None:
        self.steps.append((step, rows))

    def reported(self, report: Report) -> None:
        self.reports.append(report)

    def validated(self, validation: Validation) -> None:
        self.validations.append(validation)
