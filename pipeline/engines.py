"""The engines of one model process, on the same weights: rows as the job asks for them, and full depth to compare with.

No ray.
"""

from __future__ import annotations

import numpy as np
import torch

from mue_model.config import EngineConfig, ExitConfig, GenerationConfig
from mue_model.engine.engine import Engine
from mue_model.engine.runner import Runner
from mue_model.exits import CosineExit, ExitPolicy, NeverExit
from mue_model.loading import engine_of, load_model, make_runner
from mue_model.marked_rows import MarkedAtFullDepth
from mue_model.model_folder import ModelFacts
from mue_model.rows import RowInput


class Engines:
    """Loads the model once. Only one of the engines works at a time, or their times say nothing."""

    def __init__(
        self, facts: ModelFacts, exits: ExitConfig, generation: GenerationConfig, config: EngineConfig, *, shadows: bool
    ) -> None:
        """Load the model and start the job's engine.

        Args:
            facts: Of the model.
            exits: When rows leave.
            generation: How text is decoded.
            config: How rows are batched.
            shadows: The job's engine runs marked rows at full depth.

        Raises:
            ConfigError, ModelFolderError: As `build_engine`.
        """
        generation.check_fits(facts.config)
        config.check_fits(exits, generation)
        self._facts, self._exits, self._generation, self._config = facts, exits, generation, config
        self._model = load_model(facts, device=config.device, dtype=config.dtype)
        self._policy = CosineExit.from_config(exits, facts.config, generation.max_tokens)
        self.job, self._job_runner = self._start(MarkedAtFullDepth(self._policy) if shadows else self._policy)
        self._full: Engine | None = None

    def _start(self, policy: ExitPolicy) -> tuple[Engine, Runner]:
        runner = make_runner(self._model, policy, self._generation, self._exits.kv_policy, self._config)
        return engine_of(runner, self._facts), runner

    @property
    def full(self) -> Engine:
        """Full depth at its best: nothing is checked, and layers run without a stop. Started when first asked for."""
        if self._full is None:
            self._full, _ = self._start(NeverExit())
        return self._full

    @property
    def turns(self) -> int:
        """How often the engines have worked so far."""
        return self.job.turns + (self._full.turns if self._full else 0)

    @property
    def device(self) -> str:
        """Where the model is, as in `cpu` or `cuda:0`."""
        return str(self._model.device)

    @property
    def gpu(self) -> str | None:
        """UUID of the GPU that the model is on, as NVML spells it; None on a CPU, or where torch does not tell."""
        device = self._model.device
        if device.type != "cuda":
            return None
        uuid = getattr(torch.cuda.get_device_properties(device), "uuid", None)
        return None if uuid is None else f"GPU-{uuid}"

    @property
    def threads(self) -> int:
        """CPU threads of torch."""
        return torch.get_num_threads()

    def rows_wanted(self, scored: bool) -> int:
        """Return W of the job's engine; that of full depth is smaller, for it has fewer places where rows wait."""
        return self._job_runner.rows_wanted(scored=scored)

    def warm_up(self) -> None:
        """Have compiled what is compiled once, on an engine of its own: no row pays for it or shares with it."""
        size = self._facts.processor.image_size
        row = RowInput(
            uid="warm-up",
            pixels=np.zeros((size, size, 3), np.uint8),
            prompt_ids=self._facts.processor.prompt_ids("caption"),
        )
        engine, _ = self._start(self._policy)
        engine.submit([row]).result()
        engine.close()
