"""Published checkpoints to model folders: strict, without running their code, and complete or not there at all."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

from mue_model.appearing_folder import appearing_folder, check_target
from mue_model.brief import brief
from mue_model.checkpoint import check_finite, match_tensors, parameter_count, save_weights
from mue_model.config import ExitConfig, ModelConfig, Streams
from mue_model.convert_fairseq import read_fairseq
from mue_model.convert_huggingface import read_huggingface
from mue_model.model_card import model_card
from mue_model.model_folder import (
    CARD_FILE,
    CONFIG_FILE,
    EXITS_FILE,
    WEIGHTS_FILE,
    ModelFacts,
    ModelFolderError,
    config_document,
    presets_document,
)
from mue_model.processor import CONFIG_FILE as PROCESSOR_FILE
from mue_model.processor import Processor
from mue_model.published import Kind, Published
from mue_model.published_tokenizer import read_published_tokenizer, tokenizer_files
from mue_model.tokenizer import MERGES_FILE, VOCAB_FILE, TokenizerError

_FILES = frozenset({CONFIG_FILE, WEIGHTS_FILE, EXITS_FILE, CARD_FILE, PROCESSOR_FILE, VOCAB_FILE, MERGES_FILE})
"""All that a converted model folder holds."""

IMAGE_SIZE = 480
"""Side in pixels that OFA's captioning, entailment and VQA checkpoints were trained with."""


@dataclass(frozen=True, kw_only=True)
class ConvertReport:
    """What a conversion did."""

    kind: Kind
    """What the source was."""
    config: ModelConfig
    tensors: int
    """Tensors of the model folder."""
    parameters: int
    """Trained values in them; BatchNorm statistics are not among them."""
    destination: Path
    notes: tuple[str, ...]
    """What the user should know about the result."""


def convert(
    source: str | Path,
    destination: str | Path,
    *,
    tokenizer: str | Path | None = None,
    streams: Streams | None = None,
    image_size: int = IMAGE_SIZE,
    force: bool = False,
) -> ConvertReport:
    """Write the model folder `destination` from a published OFA folder or a fairseq `.pt` file.

    The folder appears at once when all of it is written; whatever goes wrong before leaves `destination` as it was.
    Nothing in the source is ever run.

    Args:
        source: Folder with config.json and weights; or a `.pt` file.
        destination: Folder to write.
        tokenizer: Folder with vocab.json and merges.txt, or with OFA's dict.txt, encoder.json and vocab.bpe. Needed
            for a `.pt` file; a published folder has its own.
        streams: How the checkpoint was trained; `joint` if left out.
        image_size: Side in pixels to which images are resized.
        force: Replace an existing model folder; accept `decomposed` for plain OFA weights.

    Raises:
        ModelFolderError: the source cannot be used or the destination must not be replaced; the message names the
            file, tensor or key.
    """
    for path in (source, destination):
        if "://" in str(path):
            raise ModelFolderError(f"{brief(str(path))}: only local files and folders can be read and written")
    source, target = Path(source), Path(destination)
    check_target(target, ours=_FILES, force=force)
    published = _read(source, streams, force=force)
    config = published.config
    tokenizer_folder = _tokenizer_folder(source, tokenizer)
    processor = _processor(tokenizer_folder, config, image_size)
    presets = presets_for(config.streams)
    # Made before any work, for what it checks.
    ModelFacts(name=str(target), config=config, processor=processor, presets=presets, digest="")
    tensors = match_tensors(config, published.tensors, where=str(source), name_in_file=published.name_in_file)
    check_finite(tensors, where=str(source))

    parameters = parameter_count({name: tensor.shape for name, tensor in tensors.items()})
    dtypes = sorted({str(tensor.dtype).removeprefix("torch.") for tensor in tensors.values()})
    notes = [*published.notes, f"weights keep the dtype of the source, {' and '.join(dtypes)}"]
    if unnamed := config.vocab_size - processor.tokenizer.vocab_size:
        notes.append(f"the tokenizer has no text for the last {unnamed:,} of {config.vocab_size:,} ids")
    card = model_card(
        published,
        name=target.resolve().name,
        parameters=parameters,
        tokenizer_files=tokenizer_files(tokenizer_folder),
        presets=presets,
        dropped=sorted(published.name_in_file(name) for name in published.tensors.keys() - tensors.keys()),
        notes=notes,
        command=_command(source, target, tokenizer, streams, image_size, force=force),
    )
    with appearing_folder(target) as folder:
        save_weights(folder, tensors)
        processor.save(folder)
        _write_json(folder / CONFIG_FILE, config_document(config))
        _write_json(folder / EXITS_FILE, presets_document(presets, default="exact"))
        (folder / CARD_FILE).write_text(card, "utf-8")
    return ConvertReport(
        kind=published.kind,
        config=config,
        tensors=len(tensors),
        parameters=parameters,
        destination=target,
        notes=tuple(notes),
    )


def presets_for(streams: Streams) -> dict[str, ExitConfig]:
    """Return the exit presets of a checkpoint that nobody calibrated: MuE's own where it can have meaning."""
    presets = {"exact": ExitConfig()}
    if streams == "decomposed":
        presets["paper"] = ExitConfig(image=0.9, text=0.95, decoder=0.95, schedule="paper")
        presets["published"] = ExitConfig(image=0.99, text=0.7, decoder=0.9, schedule="published")
    return presets


def _read(source: Path, streams: Streams | None, *, force: bool) -> Published:
    """Read the source as what it is."""
    if streams not in (None, *get_args(Streams)):
        raise ModelFolderError(f"streams = '{streams}': expected {' or '.join(get_args(Streams))}")
    if not source.exists():
        raise ModelFolderError(f"{source}: there is no such file or folder")
    if source.is_file():
        if source.suffix in (".bin", ".safetensors", ".json"):
            raise ModelFolderError(f"{source} is one file of a published folder; give the folder {source.parent}")
        return read_fairseq(source, streams or "joint")
    if not (source / CONFIG_FILE).exists() and (files := sorted(source.glob("*.pt"))):
        raise ModelFolderError(f"{source} holds no {CONFIG_FILE}; to convert a fairseq file, name it: {files[0]}")
    published = read_huggingface(source)
    if streams != "decomposed":
        return published
    if not force:
        raise ModelFolderError(
            f"{source}: published OFA folders were trained with joint attention; decomposed, image and text could not "
            "see each other and the texts would be worthless. Leave --streams out, or pass --force if you know better"
        )
    note = "streams = decomposed was forced on weights that were trained with joint attention"
    config = published.config.model_copy(update={"streams": streams})
    return replace(published, config=config, notes=(*published.notes, note))


def _tokenizer_folder(source: Path, tokenizer: str | Path | None) -> Path:
    if tokenizer is not None:
        return Path(tokenizer)
    if source.is_dir():
        return source
    raise ModelFolderError(
        f"{source}: a fairseq file holds no tokenizer; pass --tokenizer FOLDER, with vocab.json and merges.txt, or "
        "dict.txt, encoder.json and vocab.bpe"
    )


def _processor(folder: Path, config: ModelConfig, image_size: int) -> Processor:
    try:
        return Processor(tokenizer=read_published_tokenizer(folder, config.vocab_size), image_size=image_size)
    except TokenizerError as error:
        raise ModelFolderError(f"{error}; --tokenizer FOLDER takes the tokenizer from elsewhere") from error
    except ValueError as error:
        raise ModelFolderError(str(error)) from error


def _command(
    source: Path, target: Path, tokenizer: str | Path | None, streams: str | None, image_size: int, *, force: bool
) -> str:
    """Return the command that does the same, with names instead of paths."""
    words = ["mue", "model", "convert", source.resolve().name, target.resolve().name]
    words += [] if tokenizer is None else ["--tokenizer", Path(tokenizer).resolve().name]
    words += [] if streams is None else ["--streams", streams]
    words += [] if image_size == IMAGE_SIZE else ["--image-size", str(image_size)]
    return shlex.join(words + (["--force"] if force else []))


def _write_json(path: Path, document: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(document, indent=2, sort_keys=True) + "\n", "utf-8")
