"""`JobSpec`: everything a user may say about a job, section by section. Imports neither torch nor ray.

Sections that change results (`inputs.fields`, `task`, `model`, `exits`, `generation`, `filters`) enter the
fingerprint; the others do not (`pipeline.fingerprint`).
"""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from mue_model.config import Config, EngineConfig, ExitConfig, GenerationConfig

DEMO_MODEL = "demo"
"""Name of the trained model that ships."""


class FieldsConfig(Config):
    """Which member of a row holds what. A suffix (`txt`), or a path in the JSON member (`json:caption`)."""

    image: str = "jpg;jpeg;png;webp"
    """Suffixes of the image member, in order of preference, separated by semicolons."""
    prompt: str | None = None
    """Where each row's own prompt is. Not available yet: captions use one prompt."""
    question: str | None = None
    """Where the question is (VQA). Not available yet."""
    hypothesis: str | None = None
    """Where the hypothesis is (entailment). Not available yet."""
    references: str | None = None
    """Where reference captions are. Not available yet; they pass through in meta_json."""
    label: str | None = None
    """Where the gold label is. Not available yet."""

    @field_validator("image")
    @classmethod
    def _has_suffixes(cls, value: str) -> str:
        if not [suffix for suffix in value.split(";") if suffix.strip(" .")]:
            raise ValueError("no image suffix given; for example 'jpg;png'")
        return value

    @model_validator(mode="after")
    def _only_images_yet(self) -> Self:
        for name in ("prompt", "question", "hypothesis", "references", "label"):
            if getattr(self, name) is not None:
                raise ValueError(f"inputs.fields.{name} is not available yet; leave it out")
        return self

    @property
    def image_suffixes(self) -> tuple[str, ...]:
        """Lower-case suffixes without dots, in order of preference."""
        return tuple(s.strip(" .").lower() for s in self.image.split(";") if s.strip(" ."))


class InputsConfig(Config):
    """Which shards are read, and how their members map to fields."""

    urls: tuple[str, ...]
    """WebDataset tars: paths or URLs, brace ranges as in `shards/{00000..00003}.tar`, globs, or folders of tars."""
    fields: FieldsConfig = FieldsConfig()
    max_member_mib: int = Field(default=256, gt=0)
    """Largest image member in MiB that is read; a larger one becomes a failed row."""
    max_pixels: int = Field(default=89_478_485, gt=0)
    """Most pixels an image's header may announce; more becomes a failed row before anything is decoded."""

    @field_validator("urls", mode="before")
    @classmethod
    def _one_or_many(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value

    @field_validator("urls")
    @classmethod
    def _not_empty(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value or not all(url.strip() for url in value):
            raise ValueError("give at least one shard, for example 'shards/{00000..00003}.tar'")
        return value


class OutputConfig(Config):
    """Where the results go, and in which portions."""

    url: str
    """Output folder: a path or an fsspec URL."""
    rows_per_part: int = Field(default=256, gt=0)
    """Fewest rows of one data file, the last ones apart. A crash loses the work on parts that were not complete."""


class GenerationSection(Config):
    """How text is decoded. What is left out is as the model's generation_config.json has it, else as OFA was run."""

    max_tokens: int | None = Field(default=None, gt=0)
    """Most tokens of one text, end of sequence included. Left out: the model's own, 16 where it says nothing."""
    beams: int | None = Field(default=None, gt=0, le=64)
    """Beam width; 1 is greedy decoding. Left out: the model's own, else 1. OFA's captions are made with 5."""
    no_repeat_ngram: int | None = Field(default=None, ge=0)
    """No n-gram of this length occurs twice in a text; 0 switches the rule off. Left out: the model's own, else 3."""

    def resolved(self, own: GenerationConfig) -> GenerationConfig:
        """Return the settings in force for a model whose own ones are `own`."""
        return own.model_copy(update=self.model_dump(exclude_none=True))


class FiltersConfig(Config):
    """Rows that are not sent to the model; they are committed with status `filtered`."""

    min_side: int = Field(default=0, ge=0)
    """Shortest image side in pixels that is accepted."""


class ActorsConfig(Config):
    """The pool of model actors."""

    min: int = Field(default=1, gt=0)
    """Fewest actors; all of them are warmed before the first row."""
    max: int | None = Field(default=None, gt=0)
    """Most actors; left out: the same as `min`."""
    num_cpus: float = Field(default=0.5, ge=0)
    """Ray CPUs that one actor reserves (a scheduling token, not a limit on threads)."""
    num_gpus: float | None = Field(default=None, ge=0)
    """Ray GPUs that one actor reserves; left out: 1 where the cluster has GPUs, else 0."""
    concurrent_calls: int = Field(default=16, gt=0)
    """Ray calls in one actor at a time; their rows share the engine's groups. A call ends with its slowest row: groups
    stay full while calls x rows per call are twice the rows in flight."""
    rows_per_call: int = Field(default=32, gt=0)
    """Rows Ray hands over in one call."""
    max_restarts: int = Field(default=3, gt=0)
    """How often Ray restarts a dead actor. After that the job starts new ones as long as it gets on with each."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.max is not None and self.max < self.min:
            raise ValueError(f"actors.max {self.max} is below actors.min {self.min}")
        return self


class FailuresConfig(Config):
    """How much may fail before the job exits with code 3, and how it deals with what is stuck or told to stop."""

    max_bad_shards: int = Field(default=0, ge=0)
    """Shards that may be corrupt. Their good rows are kept in any case."""
    max_failed_share: float = Field(default=1.0, ge=0, le=1)
    """Share of rows that may fail. Judged at the end, and while the job runs from `share_after_rows` on."""
    share_after_rows: int = Field(default=1000, gt=0)
    """Committed rows from which on a running job is stopped for its share of failed rows: few rows prove nothing."""
    max_failed_rows: int | None = Field(default=None, ge=0)
    """Rows that may fail; left out: any number. A running job stops at the next one."""
    max_consecutive_failed: int | None = Field(default=None, gt=0)
    """Rows of a shard that may fail one after the other; left out: any number. A running job stops at the next one."""
    max_poison_rows: int = Field(default=20, ge=0)
    """Rows that may kill or hang their process in one run; each becomes a failed row. More of them point to the machine
    or the model, and the job stops."""
    stuck_s: float = Field(default=600.0, gt=0)
    """Seconds after which a decode or model process that makes no progress is ended and its rows are isolated. Longer
    than a model takes for one step of a full group."""
    drain_s: float = Field(default=25.0, ge=0)
    """Seconds that the rows in hand may take to finish and be committed after SIGTERM or Ctrl-C; then the job stops at
    once, and they are done anew by the next run."""


class AuditConfig(Config):
    """The shadow audit. Only its seed is used so far; it is fixed in the plan."""

    seed: int = 0
    """Seed of the keyed hash that selects shadow rows."""
    rate: Literal[0] = 0
    """Share of rows re-run at full depth. Only 0 is available so far."""


class JobSpec(Config):
    """A whole job. `mue run -c job.yaml` reads one; `mue config init` writes an example."""

    inputs: InputsConfig
    output: OutputConfig
    task: Literal["caption"] = "caption"
    """What is asked of each image. Only `caption` is available so far."""
    model: str = DEMO_MODEL
    """Model folder, or `demo`: a small model that ships and knows the drawn scenes of 'mue corpus', nothing else.
    `seeded` is untrained, for tests: its texts mean nothing."""
    exits: str | ExitConfig = "default"
    """A preset of the model folder's exits.json, or thresholds of one's own; those that are left out never exit."""
    generation: GenerationSection = GenerationSection()
    engine: EngineConfig = EngineConfig()
    actors: ActorsConfig = ActorsConfig()
    filters: FiltersConfig = FiltersConfig()
    failures: FailuresConfig = FailuresConfig()
    audit: AuditConfig = AuditConfig()

    @field_validator("task", mode="before")
    @classmethod
    def _only_captions_yet(cls, value: object) -> object:
        if value in ("entailment", "vqa"):
            raise ValueError(f"task '{value}' is not available yet; only 'caption' is")
        return value
