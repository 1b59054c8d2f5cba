"""Published checkpoints become model folders that answer alike, or one error names what does not fit."""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from mue_model.checkpoint import fairseq_name, name_in_fairseq
from mue_model.config import ExitConfig, GenerationConfig, ModelConfig
from mue_model.convert import ConvertReport, convert
from mue_model.exits import NeverExit
from mue_model.full_depth import decode_batch, encode_batch
from mue_model.loading import load_model
from mue_model.model import MueModel, parameter_shapes
from mue_model.model_folder import ModelFolderError, read_model_folder
from mue_model.reference import run_row
from mue_model.rows import RowInput
from mue_model.seeded import seeded_array
from mue_model.tokenizer import build_word_tokenizer

GOLDEN = Path(__file__).resolve().parent.parent / "golden"
TOKENIZER = build_word_tokenizer(["cat", "dog", "image"])
EMBEDDING = "encoder.embed_tokens.weight"
SMALL = ModelConfig(
    vocab_size=TOKENIZER.vocab_size + 2,
    d_model=32,
    encoder_layers=2,
    encoder_attention_heads=4,
    encoder_ffn_dim=48,
    decoder_layers=3,
    decoder_attention_heads=2,
    decoder_ffn_dim=40,
    resnet_type="light",
    max_position_embeddings=20,
    token_bucket_size=6,
    image_bucket_size=5,
)
TINY = ModelConfig(
    vocab_size=59_457,
    d_model=256,
    encoder_layers=4,
    encoder_attention_heads=4,
    encoder_ffn_dim=1024,
    decoder_layers=4,
    decoder_attention_heads=4,
    decoder_ffn_dim=1024,
    resnet_type="resnet50",
)
DROPPED = {
    "encoder.version": torch.tensor([3.0]),
    "encoder.token_rp_bucket": torch.zeros(8, 8, dtype=torch.int64),
    "decoder.image_position_idx": torch.zeros(8, dtype=torch.int64),
    "encoder.embed_images.bn1.num_batches_tracked": torch.tensor(7),
}
Change = Callable[[dict[str, Tensor]], object]


def tied(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """With the copies of the token embedding that published files hold."""
    copies = ("decoder.embed_tokens.weight", "decoder.output_projection.weight")
    return tensors | dict.fromkeys(copies, tensors[EMBEDDING])


@cache
def seeded(config: ModelConfig) -> dict[str, Tensor]:
    shapes = parameter_shapes(config).items()
    return {name: torch.from_numpy(seeded_array(name, shape)) for name, shape in shapes}


def small_tensors(dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    return DROPPED | tied({name: tensor.to(dtype, copy=True) for name, tensor in seeded(SMALL).items()})


def tiny_tensors(layout: str) -> dict[str, Tensor]:
    """Every key of a published OFA-tiny in its order, with the same values under each layout's names."""
    tensors: dict[str, Tensor] = {}
    for line in (GOLDEN / f"ofa_tiny_{layout}.txt").read_text("utf-8").splitlines():
        name, dtype, size = line.split()
        shape = () if size == "scalar" else tuple(map(int, size.split("x")))
        if dtype == "int64" or name.endswith(".version"):
            tensors[name] = torch.zeros((), dtype=getattr(torch, dtype)).expand(shape)
        elif name in tied({EMBEDDING: torch.zeros(0)}) and name != EMBEDDING:
            tensors[name] = tensors[EMBEDDING]
        else:
            tensors[name] = seeded(TINY)[fairseq_name(name)].view(shape).half()
    return tensors


def write_huggingface(folder: Path, tensors: dict[str, Tensor], config: ModelConfig, **changes: Any) -> Path:
    folder.mkdir(parents=True)
    TOKENIZER.save(folder)
    sizes = config.model_dump(mode="json", exclude={"streams", "quirks"})
    document = {"model_type": "ofa", "normformer": True, "dropout": 0.1, "use_cache": False, **sizes, **changes}
    (folder / "config.json").write_text(json.dumps(document), "utf-8")
    torch.save(tensors, folder / "pytorch_model.bin")
    return folder


def arguments_of(config: ModelConfig, **changes: Any) -> argparse.Namespace:
    sizes = {
        f"{stack}_{theirs}": getattr(config, f"{stack}_{ours}")
        for stack in ("encoder", "decoder")
        for theirs, ours in (("layers",) * 2, ("attention_heads",) * 2, ("ffn_embed_dim", "ffn_dim"))
    }
    width = dict.fromkeys(("encoder_embed_dim", "decoder_embed_dim"), config.d_model)
    positions = dict.fromkeys(("max_source_positions", "max_target_positions"), config.max_position_embeddings)
    buckets = {"token_bucket_size": config.token_bucket_size, "image_bucket_size": config.image_bucket_size}
    fixed = {"activation_fn": "gelu", "no_scale_embedding": True, "resnet_type": config.resnet_type}
    return argparse.Namespace(**{**sizes, **width, **positions, **buckets, **fixed, "lr": [3e-5], **changes})


def write_fairseq(path: Path, tensors: dict[str, Tensor], arguments: argparse.Namespace | None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "args": None,
        "cfg": {"_name": None, "model": arguments, "common": {"fp16": True}},
        "model": {name_in_fairseq(name): tensor for name, tensor in tensors.items()},
        "extra_state": {"best": np.float64(1.5), "step": np.int64(3)},
        "last_optimizer_state": {"state": {0: {"exp_avg": torch.zeros(2)}}},
    }
    torch.save(content, path)
    return path


@pytest.fixture
def tokenizer_folder(tmp_path: Path) -> Path:
    TOKENIZER.save(tmp_path / "tokenizer")
    return tmp_path / "tokenizer"


@pytest.fixture
def run(tmp_path: Path, tokenizer_folder: Path) -> Callable[..., ConvertReport]:
    """`run("fairseq", tensors, arguments={}, **options)`: convert SMALL, written in that layout, to tmp_path/out."""

    def run(
        layout: str, tensors: dict[str, Tensor], *, changes: dict[str, Any] | None = None, **options: Any
    ) -> ConvertReport:
        options = {"image_size": 32} | options
        if layout == "huggingface":
            source = write_huggingface(tmp_path / "source", tensors, SMALL, **(changes or {}))
            return convert(source, tmp_path / "out", **options)
        source = write_fairseq(tmp_path / "source.pt", tensors, arguments_of(SMALL, **(changes or {})))
        return convert(source, tmp_path / "out", **({"tokenizer": tokenizer_folder} | options))

    return run


def full_depth_logits(folder: Path) -> tuple[MueModel, Tensor]:
    model = load_model(read_model_folder(folder))
    pixels = torch.arange(32 * 48 * 3).reshape(1, 32, 48, 3).remainder(251).to(torch.uint8)
    encoded = encode_batch(model, model.normalise(pixels), torch.tensor([[0, 5, 6, 2]]))
    return model, model.logits(decode_batch(model, encoded, torch.tensor([[0, 5, 7]]))[-1])


def test_both_layouts_of_a_full_ofa_tiny_give_the_same_logits(tmp_path: Path) -> None:
    published = write_huggingface(tmp_path / "OFA-tiny", tiny_tensors("huggingface"), TINY)
    file = write_fairseq(tmp_path / "tiny.pt", tiny_tensors("fairseq"), arguments_of(TINY))
    reports = convert(published, tmp_path / "a"), convert(file, tmp_path / "b", tokenizer=published)
    assert [report.kind for report in reports] == ["huggingface", "fairseq"]
    for report in reports:
        assert (report.config, report.parameters, report.tensors) == (TINY, 33_488_336, len(parameter_shapes(TINY)))
    model, logits = full_depth_logits(tmp_path / "a")
    assert torch.equal(logits, full_depth_logits(tmp_path / "b")[1])
    assert logits.isfinite().all()
    assert logits.std() > 0.01
    row = RowInput(uid="0/0/0", pixels=np.zeros((32, 32, 3), np.uint8), prompt_ids=(0, 9, 2))
    result = run_row(model, row, NeverExit(), GenerationConfig(max_tokens=2))
    assert result.trace.decoder[0] == TINY.decoder_layers


@pytest.mark.parametrize("layout", ["huggingface", "fairseq"])
def test_the_folder_holds_all_that_a_job_needs(layout: str, run: Callable[..., ConvertReport], tmp_path: Path) -> None:
    report = run(layout, small_tensors(torch.float16), changes={"attn_scale_factor": 3.0})
    facts = read_model_folder(report.destination)
    assert facts.config == report.config == SMALL.model_copy(update={"attn_scale_factor": 3.0})
    assert facts.processor.image_size == 32
    assert facts.processor.tokenizer == TOKENIZER
    assert facts.presets == {"default": ExitConfig(), "exact": ExitConfig()}
    assert report.notes == (
        "weights keep the dtype of the source, float16",
        "the tokenizer has no text for the last 2 of 273 ids",
    )
    names = {"config.json", "exits.json", "preprocessor_config.json", "vocab.json", "merges.txt", "MODEL_CARD.md"}
    assert {path.name for path in report.destination.iterdir()} == names | {"model.safetensors"}
    modes = {path.stat().st_mode for path in report.destination.iterdir()}
    assert len(modes) == 1, "every file can be read by whom the umask allows"
    card = (report.destination / "MODEL_CARD.md").read_text("utf-8")
    weights = tmp_path / ("source/pytorch_model.bin" if layout == "huggingface" else "source.pt")
    for said in (weights.name, hashlib.sha256(weights.read_bytes()).hexdigest(), "joint", *report.notes):
        assert said in card
    assert "mue model convert source" in card
    assert "`decoder.output_projection.weight`" in card
    assert str(tmp_path) not in card


def missing(tensors: dict[str, Tensor]) -> None:
    del tensors["decoder.layers.1.cross_attn_mid_layer_norm.bias"]
    del tensors["encoder.layers.1.ffn_layer_norm.weight"]


def poison(name: str, value: float) -> Change:
    return lambda tensors: tensors[name].view(-1)[3:5].fill_(value)


def put(name: str, tensor: Tensor) -> Change:
    return lambda tensors: tensors.update({name: tensor})


@pytest.mark.parametrize("layout", ["huggingface", "fairseq"])
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            missing,
            ["missing tensor decoder.layers.1.cross_attn_mid_layer_norm.bias", "(32,)", "1.ffn_layer_norm.weight"],
        ),
        (put("encoder.layers.1.adapter.weight", torch.zeros(2)), ["unexpected tensor encoder.layers.1.adapter.weight"]),
        (put("decoder.layers.0.fc2.bias", torch.zeros(31)), ["decoder.layers.0.fc2.bias has shape (31,)", "(32,)"]),
        (put("decoder.layers.0.fc2.bias", torch.zeros(32).int()), ["decoder.layers.0.fc2.bias holds torch.int32"]),
        (put("decoder.output_projection.weight", torch.zeros(273, 32)), ["decoder.output_projection.weight differs"]),
        (poison("encoder.image_proj.weight", torch.nan), ["tensor encoder.image_proj.weight holds 2 values", "finite"]),
        (poison(EMBEDDING, torch.inf), [f"tensor {EMBEDDING} holds 2 values that are not finite"]),
        (poison(EMBEDDING, torch.nan), [f"tensor {EMBEDDING} holds 2 values that are not finite"]),
        (put("decoder.layers.0.fc1.bias", torch.zeros(40).to_sparse()), ["decoder.layers.0.fc1.bias is sparse"]),
    ],
    ids=["missing", "extra", "shape", "integers", "tied", "nan", "inf in tied", "nan in tied", "sparse"],
)
def test_every_tensor_at_fault_is_named_and_nothing_is_written(
    layout: str, change: Change, said: list[str], run: Callable[..., ConvertReport], tmp_path: Path
) -> None:
    tensors = small_tensors()
    change(tensors)
    with pytest.raises(ModelFolderError) as raised:
        run(layout, tensors)
    for words in said:
        assert words in str(raised.value)
    assert not (tmp_path / "out").exists()
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_a_fairseq_file_is_told_its_own_names(run: Callable[..., ConvertReport]) -> None:
    tensors = small_tensors()
    missing(tensors)
    with pytest.raises(ModelFolderError, match=r"\(encoder\.layers\.1\.ffn_layernorm\.weight in the file\)"):
        run("fairseq", tensors)


@pytest.mark.parametrize(
    ("layout", "changes", "said"),
    [
        ("huggingface", {"resnet_type": "resnet18"}, "resnet_type = 'resnet18'"),
        ("huggingface", {"use_ofasys": True}, "use_ofasys = True is not implemented"),
        ("huggingface", {"model_type": "blip"}, "model_type = 'blip' is not implemented"),
        ("huggingface", {"normformer": False}, "normformer = False is not implemented"),
        ("huggingface", {"activation_function": "relu"}, "activation_function = 'relu' is not implemented"),
        ("huggingface", {"encoder_attention_heads": 5}, "d_model 32 is not a multiple of encoder_attention_heads 5"),
        ("huggingface", {"encoder_layers": 3}, "missing tensor encoder.token_rel_pos_table_list.2.weight"),
        ("huggingface", {"streams": "joint"}, "is a model folder already"),
        ("fairseq", {"resnet_type": "resnet18"}, "resnet_type = 'resnet18' is not implemented"),
        ("fairseq", {"use_ofasys": True}, "use_ofasys = True is not implemented"),
        ("fairseq", {"activation_fn": "relu"}, "activation_fn = 'relu' is not implemented"),
        ("fairseq", {"encoder_attention_heads": 8}, "encoder_attention_heads = 8, but its tensors have 4"),
        ("fairseq", {"decoder_layers": 6}, "its arguments say decoder_layers = 6, but its tensors have 3"),
        ("fairseq", {"attn_scale_factor": "x"}, "attn_scale_factor = 'x': expected a number"),
    ],
)
def test_another_architecture_is_refused_by_name(
    layout: str, changes: dict[str, Any], said: str, run: Callable[..., ConvertReport]
) -> None:
    with pytest.raises(ModelFolderError) as raised:
        run(layout, small_tensors(), changes=changes)
    assert said in str(raised.value)


def test_plain_ofa_is_decomposed_only_by_force(run: Callable[..., ConvertReport], tmp_path: Path) -> None:
    with pytest.raises(ModelFolderError, match="trained with joint attention"):
        run("huggingface", small_tensors(), streams="decomposed")
    report = convert(tmp_path / "source", tmp_path / "out", streams="decomposed", image_size=32, force=True)
    assert report.config.streams == "decomposed"
    assert "decomposed was forced" in report.notes[0]
    assert not report.config.quirks.drop_image_rel_bias


def test_a_decomposed_fairseq_file_gets_mues_presets_and_quirk(run: Callable[..., ConvertReport]) -> None:
    facts = read_model_folder(run("fairseq", small_tensors(), streams="decomposed").destination)
    assert facts.config.streams == "decomposed"
    assert facts.config.quirks.drop_image_rel_bias
    assert facts.presets == {
        "default": ExitConfig(),
        "exact": ExitConfig(),
        "paper": ExitConfig(image=0.9, text=0.95, decoder=0.95, schedule="paper"),
        "published": ExitConfig(image=0.99, text=0.7, decoder=0.9, schedule="published"),
    }


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"streams": "both"}, "streams = 'both': expected joint or decomposed"),
        ({"tokenizer": None}, "pass --tokenizer FOLDER"),
        ({"tokenizer": "nowhere"}, "nowhere holds no tokenizer: expected vocab.json and merges.txt, or dict.txt"),
        ({"image_size": 100}, "image size 100 is not a multiple of 16"),
        ({"image_size": 96}, "image size 96 is above 80"),
        ({"image_size": -16}, "image_size = -16"),
    ],
)
def test_wrong_options_are_named(options: dict[str, Any], said: str, run: Callable[..., ConvertReport]) -> None:
    with pytest.raises(ModelFolderError) as raised:
        run("fairseq", small_tensors(), **options)
    assert said in str(raised.value)


def test_a_vocabulary_larger_than_the_models_is_refused(run: Callable[..., ConvertReport], tmp_path: Path) -> None:
    build_word_tokenizer(["cat", "dog", "image", "photograph"]).save(tmp_path / "larger")
    with pytest.raises(ModelFolderError, match="but the model's vocab_size is 273"):
        run("huggingface", small_tensors(), tokenizer=tmp_path / "larger")


def test_a_source_that_is_none_says_what_to_give(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "best.pt").touch()
    (tmp_path / "folder" / "pytorch_model.bin").touch()
    for source, said in {
        "nowhere": "there is no such file or folder",
        "folder": r"to convert a fairseq file, name it: .*best\.pt",
        "folder/pytorch_model.bin": "is one file of a published folder; give the folder",
    }.items():
        with pytest.raises(ModelFolderError, match=said):
            convert(tmp_path / source, tmp_path / "out")
    with pytest.raises(ModelFolderError, match="only local files"):
        convert("s3://bucket/OFA-tiny", tmp_path / "out")


def test_an_existing_folder_is_replaced_only_by_force(run: Callable[..., ConvertReport], tmp_path: Path) -> None:
    run("huggingface", small_tensors())
    with pytest.raises(ModelFolderError, match="exists already"):
        convert(tmp_path / "source", tmp_path / "out", image_size=32)
    convert(tmp_path / "source", tmp_path / "out", image_size=48, force=True)
    assert read_model_folder(tmp_path / "out").processor.image_size == 48
    shutil.copy(tmp_path / "source" / "pytorch_model.bin", tmp_path / "out")
    with pytest.raises(ModelFolderError, match=r"holds pytorch_model\.bin, which no model folder has"):
        convert(tmp_path / "source", tmp_path / "out", force=True)
    shutil.rmtree(tmp_path / "out")
    (tmp_path / "file").touch()
    with pytest.raises(ModelFolderError, match=r"file/out cannot be written"):
        convert(tmp_path / "source", tmp_path / "file" / "out", image_size=48)
