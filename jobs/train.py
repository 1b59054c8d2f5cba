"""`mue train`: read the corpus, train or resume, and leave a model folder."""

from __future__ import annotations

import platform
import signal
from dataclasses import dataclass
from pathlib import Path

import torch

from jobs.interrupts import signals_request_stop
from jobs.train_folder import MODEL_FOLDER, training_folder
from jobs.train_spec import TrainSpec
from jobs.training_view import TrainingView
from mue_model.checkpoint import parameter_count
from mue_model.corpus.vocabulary import corpus_vocabulary
from mue_model.layers import attend_fused
from mue_model.loading import pick_device, use_kernel
from mue_model.model import parameter_shapes
from mue_model.model_folder import read_json
from mue_model.model_names import model_facts
from mue_model.training.card import CardFacts, training_card
from mue_model.training.examples import Example, fitting_generation, load_examples
from mue_model.training.export import Exported, stored_model, write_model_folder
from mue_model.training.plot import NO_MATPLOTLIB, can_plot, draw_curves
from mue_model.training.reports import MetricsFile, Report
from mue_model.training.shards import corpus_digest
from mue_model.training.start import Start, start_fresh, start_from
from mue_model.training.trainer import Trainer
from mue_model.training.validation import Validation, Validator
from pipeline.exit_codes import ExitCode

_DESCRIBED = ("license", "license_url", "corpus_version", "seed")
"""What the card repeats of the corpus's own description."""


@dataclass(frozen=True, kw_only=True)
class TrainOutcome:
    """How a run ended."""

    exit_code: ExitCode
    reason: str
    """Empty where the model is there."""
    step: int
    model: Path
    exported: Exported | None
    """None where the model was there before, or is not there yet."""


@dataclass(frozen=True, kw_only=True)
class _Data:
    train: list[Example]
    val: list[Example]
    digest: str
    """Of train/."""


def train(spec: TrainSpec, view: TrainingView) -> TrainOutcome:
    """Train to the last step and write the model folder, or stop at a signal; the same call again resumes."""
    output = Path(spec.output)
    model = output / MODEL_FOLDER
    if spec.threads:
        torch.set_num_threads(spec.threads)
    device = pick_device(spec.device)
    with signals_request_stop() as stop, training_folder(output):
        start = _start(spec)
        shapes = parameter_shapes(start.model.config)
        for note in (f"{parameter_count(shapes):,} parameters", *start.notes):
            view.note(note)
        view.note(f"reading {spec.corpus}")
        data = _read(spec, start)
        view.note(f"{len(data.train):,} rows to train on, {len(data.val):,} to validate on")
        trainer = _trainer(spec, start, data, device)
        if trainer.resume():
            view.note(f"continuing at step {trainer.step:,} of {spec.training.last_step:,}")
        last = spec.training.last_step
        was_done = trainer.step >= last
        view.begin(trainer.step, last)
        trainer.run(_Plotted(view, trainer.metrics, output), stop=stop)
        if trainer.step < last:
            code = ExitCode.SIGINT if stop.signal == signal.SIGINT else ExitCode.INTERRUPTED
            reason = f"stopped after step {trainer.step:,} of {last:,}; the same command resumes"
            return TrainOutcome(exit_code=code, reason=reason, step=trainer.step, model=model, exported=None)
        exported = None if was_done and model.exists() else _export(spec, start, data, trainer)
        return TrainOutcome(exit_code=ExitCode.OK, reason="", step=trainer.step, model=model, exported=exported)


def _start(spec: TrainSpec) -> Start:
    if spec.init:
        return start_from(model_facts(spec.init), streams=spec.streams)
    assert spec.size is not None
    return start_fresh(spec.size, corpus_vocabulary(), streams=spec.streams or "decomposed", seed=spec.training.seed)


def _read(spec: TrainSpec, start: Start) -> _Data:
    corpus, longest = Path(spec.corpus), start.model.config.max_position_embeddings
    train = load_examples(corpus / "train", start.processor, longest=longest, limit=spec.limit)
    val: list[Example] = []
    if spec.training.validation_rows and (corpus / "val").is_dir():
        rows = spec.training.validation_rows
        val = load_examples(corpus / "val", start.processor, longest=longest, limit=rows)
    return _Data(train=train, val=val, digest=corpus_digest(corpus / "train"))


def _trainer(spec: TrainSpec, start: Start, data: _Data, device: torch.device) -> Trainer:
    start.model.to(device)
    if device.type == "cuda":
        use_kernel(start.model, attend_fused)
    return Trainer(
        start.model,
        start.processor,
        data.train,
        spec.recipe,
        spec.training,
        Path(spec.output),
        validator=Validator(data.val, start.processor) if data.val else None,
        origin={**start.origin, "corpus": data.digest},
    )


def _export(spec: TrainSpec, start: Start, data: _Data, trainer: Trainer) -> Exported:
    """Score the weights as they are stored, and write the model folder."""
    stored = stored_model(trainer.model).to(trainer.model.device)
    validation = Validator(data.val, start.processor).validate(stored, trainer.step) if data.val else None
    facts = CardFacts(
        name=Path(spec.output).resolve().name,
        command=spec.command(),
        config=start.model.config,
        recipe_name=spec.recipe_name,
        recipe=spec.recipe,
        steps=trainer.step,
        seed=spec.training.seed,
        origin=start.origin,
        data=_data_facts(spec, data),
        versions=_versions(trainer.model.device),
        notes=(*start.notes, *_cut_short(spec, trainer.step)),
        validation=validation,
    )
    target = Path(spec.output) / MODEL_FOLDER
    generation = fitting_generation(data.train, start.processor.tokenizer)
    return write_model_folder(
        trainer.model, start.processor, generation, target, lambda exported: training_card(facts, exported)
    )


def _cut_short(spec: TrainSpec, step: int) -> list[str]:
    if step == spec.training.steps:
        return []
    return [f"The run was ended on purpose after step {step:,} of a schedule of {spec.training.steps:,}."]


def _data_facts(spec: TrainSpec, data: _Data) -> dict[str, str]:
    description = Path(spec.corpus) / "corpus.json"
    corpus = read_json(description) if description.is_file() else {}
    described = {name: str(corpus[name]) for name in _DESCRIBED if name in corpus}
    rows = f"{len(data.train):,}" + (f" (the first ones: --limit {spec.limit})" if spec.limit else "")
    return {
        "corpus": Path(spec.corpus).resolve().name,
        **described,
        "rows": rows,
        "captions": f"{sum(len(example.captions) for example in data.train):,}",
        "hypotheses": f"{sum(len(example.hypotheses) for example in data.train):,}",
        "SHA-256 of train/": f"`{data.digest}`",
        "rows of val/": f"{len(data.val):,}",
    }


def _versions(device: torch.device) -> dict[str, str]:
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    return {"torch": torch.__version__, "device": f"{device.type}, {where}", "threads": str(torch.get_num_threads())}


class _Plotted:
    """Shows what it is told, and draws the curves anew after every validation."""

    def __init__(self, view: TrainingView, metrics: MetricsFile, folder: Path) -> None:
        self._view, self._metrics, self._folder = view, metrics, folder
        self._can_plot = can_plot()
        if not self._can_plot:
            view.note(NO_MATPLOTLIB)

    def stepped(self, step: int, rows: int) -> None:
        """Pass it on."""
        self._view.stepped(step, rows)

    def reported(self, report: Report) -> None:
        """Pass it on."""
        self._view.reported(report)

    def validated(self, validation: Validation) -> None:
        """Pass it on, and draw."""
        self._view.validated(validation)
        if self._can_plot:
            draw_curves(self._metrics, self._folder)
