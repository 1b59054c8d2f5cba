"""From a model's name to a model that answers: the one place that knows the seeded model and model folders."""

from __future__ import annotations

import torch

from mue_model.checkpoint import build_model, load_weights
from mue_model.config import ConfigError, EngineConfig, ExitConfig, GenerationConfig, KvPolicy
from mue_model.engine.batch import BatchRunner
from mue_model.engine.batches import Batches
from mue_model.engine.dense import DenseRunner
from mue_model.engine.engine import Engine
from mue_model.engine.paced import PacedRunner
from mue_model.engine.runner import Runner
from mue_model.exits import CosineExit, ExitPolicy
from mue_model.layers import Attention, AttentionKernel, attend_fused
from mue_model.model import MueModel, parameter_shapes
from mue_model.model_folder import ModelFacts
from mue_model.seeded import seeded_array
from mue_model.stem import fold_batch_norms


def load_model(facts: ModelFacts, *, device: str = "cpu", dtype: str = "float32") -> MueModel:
    """Return the model of `facts`, for inference, on `device` ("auto": CUDA where there is one)."""
    if facts.folder is None:
        shapes = parameter_shapes(facts.config)
        tensors = {name: torch.from_numpy(seeded_array(name, shape)) for name, shape in shapes.items()}
    else:
        tensors = load_weights(facts.folder, facts.config)
    model = build_model(facts.config, tensors)
    fold_batch_norms(model.encoder.embed_images)
    model = model.to(device=pick_device(device), dtype=getattr(torch, dtype))
    if model.device.type == "cuda":
        use_kernel(model, attend_fused)
    return model


def check_weights(facts: ModelFacts) -> None:
    """Raise `ModelFolderError` naming every tensor that does not fit; the file is mapped, not read."""
    if facts.folder is not None:
        load_weights(facts.folder, facts.config)


def use_kernel(model: MueModel, kernel: AttentionKernel) -> None:
    """Let every attention of `model` run through `kernel`: explicit products are fastest for small rows on a CPU."""
    for module in model.modules():
        if isinstance(module, Attention):
            module.kernel = kernel


def pick_device(device: str) -> torch.device:
    """Return the torch device called `device`; "auto" is CUDA where there is one, else the CPU.

    Raises:
        ConfigError: CUDA is asked for, but torch sees none here.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise ConfigError(f"engine.device = {device}: torch {torch.__version__} sees no CUDA device here; use cpu")
    return torch.device(device)


def build_engine(facts: ModelFacts, exits: ExitConfig, generation: GenerationConfig, config: EngineConfig) -> Engine:
    """Load the model and start an engine on it that answers with texts.

    Raises:
        ConfigError: The exits or the longest text do not fit the model, the engine cannot decode so, or the device is
            not there.
        ModelFolderError: The weights do not fit the configuration.
    """
    generation.check_fits(facts.config)
    config.check_fits(exits, generation)
    model = load_model(facts, device=config.device, dtype=config.dtype)
    policy = CosineExit.from_config(exits, facts.config, generation.max_tokens)
    return engine_of(make_runner(model, policy, generation, exits.kv_policy, config), facts)


def engine_of(runner: Runner, facts: ModelFacts) -> Engine:
    """Start an engine that drives `runner` and answers with texts."""
    tokenizer = facts.processor.tokenizer
    return Engine(runner, lambda tokens: tokenizer.decode(tokens).strip())


def make_runner(
    model: MueModel, policy: ExitPolicy, generation: GenerationConfig, kv_policy: KvPolicy, config: EngineConfig
) -> Runner:
    """Return what batches rows as `config` says."""
    runner: Runner
    if config.policy == "regroup":
        runner = DenseRunner(model, policy, generation, kv_policy, config)
    else:
        runner = Batches(BatchRunner(model, policy, generation, kv_policy, config.policy), config.group_size)
    return runner if config.rows_per_s is None else PacedRunner(runner, config.rows_per_s)
