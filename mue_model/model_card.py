"""MODEL_CARD.md of a converted model: where it came from, and what was done to it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from mue_model.config import ExitConfig
from mue_model.model_folder import file_digest
from mue_model.published import Published

_COUNTER = ".num_batches_tracked"
_KINDS = {"huggingface": "Hugging Face folder", "fairseq": "fairseq checkpoint"}
_STREAMS = {
    "joint": "`joint`: one encoder stream over image and text, as plain OFA was trained.",
    "decomposed": "`decomposed`: image and text attend only to themselves, as MuE was trained.",
}


def model_card(
    published: Published,
    *,
    name: str,
    parameters: int,
    tokenizer_files: Iterable[Path],
    presets: Mapping[str, ExitConfig],
    dropped: Sequence[str],
    notes: Sequence[str],
    command: str,
) -> str:
    """Return the card. It names files without their folders, so it tells nothing about the machine it was made on."""
    config = published.config
    sources = [f"| `{path.name}` | `{file_digest(path)}` |" for path in [*published.files, *tokenizer_files]]
    exits = [
        f"- `{preset}`: image {e.image}, text {e.text}, joint {e.joint}, decoder {e.decoder}, schedule {e.schedule}"
        for preset, e in presets.items()
    ]
    return "\n".join(
        [
            f"# {name}",
            "",
            f"An OFA model converted from a {_KINDS[published.kind]}: {parameters:,} parameters, "
            f"{config.encoder_layers} encoder and {config.decoder_layers} decoder layers of width {config.d_model}, "
            f"stem {config.resnet_type}, {config.vocab_size:,} token ids.",
            "",
            "## Source",
            "",
            "| file | sha256 |",
            "|---|---|",
            *sources,
            "",
            f"    {command}",
            "",
            "No code of the source was run. The licence of the weights is that of their source.",
            "",
            "## Streams and exits",
            "",
            f"{_STREAMS[config.streams]} Presets (exits.json), none of them calibrated for these weights; the default "
            "is `exact`, full depth:",
            "",
            *exits,
            "",
            "## Notes",
            "",
            *[f"- {note}" for note in notes],
            "",
            "## Left out",
            "",
            "Copies of the token embedding, index tables and marks that follow from config.json:",
            "",
            *([f"- `{name}`" for name in dropped if not name.endswith(_COUNTER)] or ["- nothing else"]),
            f"- {sum(name.endswith(_COUNTER) for name in dropped)} times `*{_COUNTER}`",
            "",
        ]
    )
