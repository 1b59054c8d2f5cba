"""A model folder says what its model is, or names the file and key that is wrong. No weights are read."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mue_model.config import ConfigError, ExitConfig, GenerationConfig, ModelConfig
from mue_model.model_folder import (
    ModelFolderError,
    config_document,
    generation_document,
    presets_document,
    read_config,
    read_model_folder,
)
from mue_model.processor import Processor
from mue_model.tokenizer import build_word_tokenizer

TOKENIZER = build_word_tokenizer(["cat"])
PRESETS = {"exact": ExitConfig(), "quick": ExitConfig(image=0.5, decoder=(0.9, 0.8, 0.7, 0.6))}


def weights(data: bytes) -> bytes:
    """A model.safetensors of one tensor."""
    tensor = {"dtype": "U8", "shape": [len(data)], "data_offsets": [0, len(data)]}
    header = json.dumps({"__metadata__": {"format": "pt"}, "a": tensor}).encode()
    return len(header).to_bytes(8, "little") + header + data


@pytest.fixture
def config(small_config: Callable[..., ModelConfig]) -> ModelConfig:
    return small_config(vocab_size=300, streams="decomposed", quirks={"drop_image_rel_bias": True})


@pytest.fixture
def folder(tmp_path: Path, config: ModelConfig) -> Path:
    Processor(tokenizer=TOKENIZER, image_size=64).save(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(config_document(config)), "utf-8")
    (tmp_path / "exits.json").write_text(json.dumps(presets_document(PRESETS, default="quick")), "utf-8")
    (tmp_path / "model.safetensors").write_bytes(weights(b"not read"))
    return tmp_path


def edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | changes), "utf-8")


def test_what_was_written_is_read(folder: Path, config: ModelConfig) -> None:
    facts = read_model_folder(folder)
    assert (facts.name, facts.config, facts.untrained) == (str(folder), config, False)
    assert facts.presets == {**PRESETS, "default": PRESETS["quick"]}
    assert (facts.processor.image_size, facts.processor.tokenizer) == (64, TOKENIZER)
    assert facts.exits("quick") == PRESETS["quick"]
    assert facts.exits(ExitConfig(image=0.1)) == ExitConfig(image=0.1)


def test_a_preset_may_have_other_settings_for_a_task(folder: Path) -> None:
    own = {"vqa": {"quick": ExitConfig(text=0.2)}, "caption": {"exact": ExitConfig(text=0.3)}}
    document = presets_document(PRESETS, default="quick", task_presets=own)
    (folder / "exits.json").write_text(json.dumps(document), "utf-8")
    facts = read_model_folder(folder)
    assert facts.exits("quick", "vqa") == facts.exits("default", "vqa") == ExitConfig(text=0.2)
    assert facts.exits("exact", "vqa") == PRESETS["exact"]
    assert facts.exits("default", "caption") == facts.exits("default", "entailment") == PRESETS["quick"]
    assert facts.exits("exact", "caption") == ExitConfig(text=0.3)
    assert facts.exits(ExitConfig(image=0.1), "vqa") == ExitConfig(image=0.1)


@pytest.mark.parametrize("tasks", [[], {"vqa": 3}, {"vqa": {"other": {}}}, {"vqa": {"default": {}}}])
def test_settings_for_a_task_that_cannot_be_meant_are_refused(folder: Path, tasks: Any) -> None:
    edit(folder / "exits.json", tasks=tasks)
    with pytest.raises(ModelFolderError, match=r"exits\.json: 'tasks' needs an object for each task"):
        read_model_folder(folder)


def test_the_digest_follows_weights_configuration_and_vocabulary(folder: Path) -> None:
    digests = {read_model_folder(folder).digest}
    (folder / "exits.json").unlink()
    (folder / "MODEL_CARD.md").write_text("anything", "utf-8")
    assert {read_model_folder(folder).digest} == digests
    (folder / "model.safetensors").write_bytes(weights(b"other"))
    digests.add(read_model_folder(folder).digest)
    edit(folder / "config.json", streams="joint")
    digests.add(read_model_folder(folder).digest)
    build_word_tokenizer(["dog"]).save(folder)
    digests.add(read_model_folder(folder).digest)
    assert len(digests) == 4


def test_a_folder_without_exits_has_full_depth_only(folder: Path) -> None:
    (folder / "exits.json").unlink()
    assert read_model_folder(folder).presets == {"default": ExitConfig(), "exact": ExitConfig()}


def test_decoding_of_its_own_is_read_by_the_names_of_transformers(folder: Path) -> None:
    assert read_model_folder(folder).generation == GenerationConfig()
    own = GenerationConfig(max_tokens=31, no_repeat_ngram=0)
    path = folder / "generation_config.json"
    path.write_text(json.dumps(generation_document(own) | {"num_beams": 5, "transformers_version": "4"}), "utf-8")
    assert read_model_folder(folder).generation == own
    edit(path, max_new_tokens=0)
    with pytest.raises(ModelFolderError, match=r"generation_config\.json: max_tokens = 0"):
        read_model_folder(folder)


def test_exits_that_do_not_fit_the_model_are_refused(folder: Path) -> None:
    facts = read_model_folder(folder)
    with pytest.raises(ConfigError, match=r"exits = 'fast': .* has the presets default, exact, quick"):
        facts.exits("fast")
    with pytest.raises(ConfigError, match=r"exits\.image has 2 thresholds, but the model has 3 layers there"):
        facts.exits(ExitConfig(image=(0.5, 0.6)))
    edit(folder / "exits.json", presets={"quick": {"text": [0.5, 0.6]}})
    with pytest.raises(ConfigError, match=r"exits\.text has 2 thresholds, but the model has 3 layers there"):
        read_model_folder(folder).exits("default")


@pytest.mark.parametrize(
    ("file", "changes", "said"),
    [
        ("config.json", {"normformer": False}, "config.json: normformer = False is not implemented, only True is"),
        ("config.json", {"use_ofasys": True}, "use_ofasys = True is not implemented"),
        ("config.json", {"model_type": "blip"}, "model_type = 'blip' is not implemented"),
        ("config.json", {"resnet_type": "resnet18"}, "resnet_type = 'resnet18'"),
        ("config.json", {"d_model": "wide"}, "d_model = 'wide': expected a whole number"),
        ("config.json", {"d_model": 15}, "d_model 15 is not a multiple of encoder_attention_heads 2"),
        ("config.json", {"streams": "split"}, "streams = 'split': expected 'joint' or 'decomposed'"),
        ("config.json", {"vocab_size": 100}, "the model's vocab_size is 100"),
        ("config.json", {"encoder_layers": 10**6}, "encoder_layers = 1000000"),
        ("config.json", {"d_model": 4 * 10**18}, "d_model = 4000000000000000000"),
        ("config.json", {"pad_token_id": 2}, "pad_token_id is 2; expected 1, as in OFA's vocabulary"),
        ("config.json", {"eos_token_id": 0}, "eos_token_id is 0; expected 2"),
        ("preprocessor_config.json", {"size": {"height": 100, "width": 100}}, "100 is not a multiple of 16"),
        ("preprocessor_config.json", {"size": {"height": 96, "width": 96}}, "image size 96 is above 80"),
        ("preprocessor_config.json", {"image_std": [1, 1, 1]}, "image_std = [1, 1, 1] is not supported"),
        ("exits.json", {"default": "none"}, "exits.json: needs 'presets'"),
        ("exits.json", {"default": ["quick"]}, "exits.json: needs 'presets'"),
        ("exits.json", {"presets": {"quick": {"imagee": 1}}}, "presets.quick: imagee = 1: unknown key, did you mean"),
    ],
)
def test_a_wrong_key_is_named(folder: Path, file: str, changes: dict[str, Any], said: str) -> None:
    edit(folder / file, **changes)
    with pytest.raises((ModelFolderError, ConfigError)) as raised:
        read_model_folder(folder)
    assert said in str(raised.value)


@pytest.mark.parametrize(
    ("file", "changes"),
    [
        ("config.json", {"activation_function": "x" * 2_000_000}),
        ("preprocessor_config.json", {"image_mean": [0.25] * 500_000}),
        ("preprocessor_config.json", {"size": "x" * 2_000_000}),
        ("exits.json", {"presets": {"x" * 2_000_000: {"imagee": 1}}, "default": "x" * 2_000_000}),
        ("vocab.json", {"x" * 2_000_000: -1}),
        ("vocab.json", {"x" * 2_000_000: 0}),
    ],
    ids=lambda value: value if isinstance(value, str) else next(iter(value))[:20],
)
def test_a_file_of_megabytes_makes_a_short_message(folder: Path, file: str, changes: dict[str, Any]) -> None:
    edit(folder / file, **changes)
    with pytest.raises((ModelFolderError, ConfigError)) as raised:
        read_model_folder(folder)
    assert file in str(raised.value)
    assert len(str(raised.value)) < 1500


def test_a_folder_of_many_presets_makes_a_short_message(folder: Path) -> None:
    edit(folder / "exits.json", presets={f"{number}{'x' * 9999}": {} for number in range(99)}, default=f"7{'x' * 9999}")
    with pytest.raises(ConfigError, match=r"has the presets .* and 80 more") as raised:
        read_model_folder(folder).exits("fast")
    assert len(str(raised.value)) < 3000


def test_weights_that_are_not_as_long_as_they_say_are_refused_unread(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mue_model.model_folder.file_digest", lambda path: pytest.fail("all of it was read"))
    os.truncate(folder / "model.safetensors", 8 << 40)
    with pytest.raises(
        ModelFolderError, match=r"model\.safetensors cannot be read as safetensors: has 8,796,093,022,208"
    ):
        read_model_folder(folder)
    (folder / "model.safetensors").write_bytes(weights(b"abc") + b"d")
    with pytest.raises(ModelFolderError, match="has 4 bytes of weights, and its header tells of 3"):
        read_model_folder(folder)


def test_a_vocabulary_that_cannot_write_the_prompt_is_refused(folder: Path) -> None:
    vocab = json.loads((folder / "vocab.json").read_text("utf-8"))
    del vocab["?"]
    (folder / "vocab.json").write_text(json.dumps(vocab), "utf-8")
    with pytest.raises(ModelFolderError, match="cannot write the prompt 'what does the image describe"):
        read_model_folder(folder)


@pytest.mark.parametrize("file", ["config.json", "model.safetensors", "vocab.json", "preprocessor_config.json"])
def test_a_missing_file_is_named(folder: Path, file: str) -> None:
    (folder / file).unlink()
    with pytest.raises(ModelFolderError, match=rf"{file}.* is missing|{file}: missing"):
        read_model_folder(folder)


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"{", "as JSON"), (b"[]", "no JSON object"), (b"\xff", "as JSON"), (b"[" * 99_999, "as JSON")],
)
def test_a_damaged_config_is_named(folder: Path, content: bytes, said: str) -> None:
    (folder / "config.json").write_bytes(content)
    with pytest.raises(ModelFolderError, match=f"config.json .*{said}"):
        read_config(folder / "config.json")


def test_no_folder_and_no_local_folder_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(ModelFolderError, match="there is no such folder"):
        read_model_folder(tmp_path / "none")
    with pytest.raises(ModelFolderError, match="only local folders can be read"):
        read_model_folder("s3://bucket/model")
    with pytest.raises(ModelFolderError, match="cannot be looked at: File name too long") as refused:
        read_model_folder(tmp_path / ("x" * 5000))
    assert len(str(refused.value)) < 500


@pytest.mark.parametrize("name", ["config.json", "exits.json", "generation_config.json"])
def test_a_key_that_is_given_twice_is_refused(folder: Path, name: str) -> None:
    """Else the last one would win, and two readers of a folder might take it for two models."""
    (folder / name).write_text('{"a": {"d_model": 64, "d_model": 128}}')
    with pytest.raises(ModelFolderError, match=f"{name} .*the key 'd_model' is given twice"):
        read_model_folder(folder)


@pytest.mark.parametrize(
    "name", ["config.json", "exits.json", "preprocessor_config.json", "vocab.json", "merges.txt", "model.safetensors"]
)
@pytest.mark.parametrize("kind", ["pipe", "device", "endless"])
def test_what_would_block_or_never_end_is_not_read(folder: Path, name: str, kind: str) -> None:
    path = folder / name
    path.unlink()
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        path.touch()
        os.truncate(path, (64 << 20) + 1)
    if name == "exits.json" and kind != "endless":
        assert set(read_model_folder(folder).presets) == {"default", "exact"}, "as where there is none"
    else:
        with pytest.raises(ModelFolderError, match=name):
            read_model_folder(folder)
