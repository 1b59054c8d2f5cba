"""`JobSpec`: everything a user may say about a job, section by section. Imports neither torch nor ray.

Sections that change results (`inputs.fields`, `task`, `model`, `exits`, `generation`, `filters`) enter the
fingerprint; the others do not (`pipeline.fingerprint`).
"""

from __future__ import annotations

import math
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from mue_model.config import Config, EngineConfig, ExitConfig, GenerationConfig
from mue_model.prompts import NAMES
from pipeline.row_field import RowField
from pipeline.shadow_strata import STRATA, Stratum
from pipeline.url_secrets import without_secrets

MOST_ACTORS = 40_000
"""Most model actors of a job: as many as Ray says that it carries. Ray Data asks for all of `min` in one loop, which a
typing mistake would make endless."""
LEAST_SHARE = 0.0001
"""Least part of a CPU or GPU that an actor can reserve."""
DEMO_MODEL = "demo"
"""Name of the trained model that ships."""

_EXAMPLES = {"entailment": "ve", "vqa": "vqa"}
"""Lists of queries as `mue corpus` calls them."""


_IMAGE_SUFFIXES = ("jpg", "jpeg", "png", "webp")
_COLUMN = "column:"


def written(value: str) -> str:
    """Return a text that can be written as a path, or raise `ValueError`: YAML can also say NUL, and half a character.

    Inputs may hold halves: that is how Python has the names of files that are no UTF-8.
    """
    try:
        if b"\0" not in value.encode():
            return value
    except UnicodeEncodeError:
        pass
    raise ValueError("holds what no path can hold: a NUL, or half of a character")


class FieldsConfig(Config):
    """Which member of a row holds what. A suffix (`txt`), or a path in the JSON member (`json:caption`)."""

    image: str = ";".join(_IMAGE_SUFFIXES)
    """Suffixes of the image member, in order of preference, separated by semicolons; of a folder, which files are
    images. `column:NAME` among them names the image column of Parquet files, which is found where it is clear."""
    prompt: str | None = None
    """Where each row's own prompt is (caption). Left out: one prompt for all, OFA's."""
    question: str | None = None
    """Where the question is (vqa). A path with `[*]`, as in `json:vqa[*].question`, asks several of one image."""
    hypothesis: str | None = None
    """Where the hypothesis is (entailment). A path with `[*]`, as in `json:ve[*].hypothesis`, asks several of one
    image."""
    references: str | None = None
    """Where reference captions are, for 'mue eval'. Changes no result."""
    label: str | None = None
    """Where the gold label is (entailment), or what people answered (vqa), for 'mue eval'; entries at the same `[*]`
    belong together, as in `json:ve[*].label`. Changes no result."""

    @field_validator("image")
    @classmethod
    def _has_suffixes(cls, value: str) -> str:
        words = [word for word in value.split(";") if word.strip(" .")]
        if not words:
            raise ValueError("no image suffix given; for example 'jpg;png'")
        columns = [word.strip() for word in words if word.strip().startswith(_COLUMN)]
        if len(columns) > 1 or _COLUMN in columns:
            raise ValueError(f"'{value}': give one column, as in 'column:image' or 'jpg;png;column:image'")
        return value

    @field_validator("prompt", "question", "hypothesis", "references", "label")
    @classmethod
    def _can_be_read(cls, value: str | None) -> str | None:
        if value is not None:
            RowField.parse(value)
        return value

    def asked(self, task: str) -> RowField | None:
        """Return where the row's own text is that `task` asks about; None for one prompt for all rows."""
        path = getattr(self, NAMES[task])
        return None if path is None else RowField.parse(path)

    @property
    def image_suffixes(self) -> tuple[str, ...]:
        """Lower-case suffixes without dots, in order of preference; the usual ones where only a column is named."""
        words = [word.strip(" .") for word in self.image.split(";") if not word.strip().startswith(_COLUMN)]
        return tuple(word.lower() for word in words if word) or _IMAGE_SUFFIXES

    @property
    def image_column(self) -> str | None:
        """The image column of Parquet files; None to find it."""
        words = [word.strip() for word in self.image.split(";")]
        return next((word.removeprefix(_COLUMN) for word in words if word.startswith(_COLUMN)), None)


class InputsConfig(Config):
    """Which shards are read, and how their members map to fields."""

    urls: tuple[str, ...]
    """WebDataset tars and Parquet files: paths or URLs, brace ranges as in `shards/{00000..00003}.tar`, globs, or
    folders of them; folders of images, nested ones too."""
    fields: FieldsConfig = FieldsConfig()
    max_member_mib: int = Field(default=256, gt=0)
    """Largest image in MiB that is read; a larger one becomes a failed row."""
    max_queries: int = Field(default=1000, gt=0, le=2000)
    """Most queries about one image; an image with more becomes one failed row."""
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
        if any("\0" in url for url in value):
            raise ValueError("holds a NUL, which no path can hold")
        return tuple(map(without_secrets, value))


class OutputConfig(Config):
    """Where the results go, and in which portions."""

    url: str
    """Output folder: a path or an fsspec URL."""
    rows_per_part: int = Field(default=256, gt=0)
    """Fewest rows of one data file, the last ones apart. A crash loses the work on parts that were not complete."""
    lease_s: float = Field(default=60.0, gt=0)
    """Seconds without a sign of life from a job on another machine after which this one may take its folder over."""

    @field_validator("url")
    @classmethod
    def _no_secrets(cls, value: str) -> str:
        return without_secrets(written(value))


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

    min: int = Field(default=1, gt=0, le=MOST_ACTORS)
    """Fewest actors; all of them are warmed before the first row."""
    max: int | None = Field(default=None, gt=0, le=MOST_ACTORS)
    """Most actors; left out: the same as `min`."""
    num_cpus: float = Field(default=0.5, ge=0)
    """Ray CPUs that one actor reserves (a scheduling token, not a limit on threads)."""
    num_gpus: float | None = Field(default=None, ge=0)
    """Ray GPUs that one actor reserves; left out: 1 where the cluster has GPUs, else 0. To be said where GPU nodes come
    only when they are asked for; 'mue cluster render' does."""
    concurrent_calls: int = Field(default=8, gt=0)
    """Ray calls in one actor at a time; their rows share the engine's groups. A call ends with its slowest row: groups
    stay full while calls x rows per call are twice the rows in flight."""
    rows_per_call: int = Field(default=64, gt=0)
    """Images Ray hands over in one call, each with all that is asked about it. Every call costs the actor's engine the
    interpreter for a while, whatever it holds."""
    max_restarts: int = Field(default=3, gt=0)
    """How often a call is run again whose actor died, and how often in a row an actor may die as it starts. After the
    first the job starts new actors as long as it gets on with each, after the second it ends."""

    @field_validator("num_cpus", "num_gpus")
    @classmethod
    def _as_fine_as_ray_counts(cls, value: float | None) -> float | None:
        if value is not None and 0 < value < LEAST_SHARE:
            raise ValueError(f"must be 0, or {LEAST_SHARE:g} and more: Ray counts no less")
        return value

    @field_validator("num_gpus")
    @classmethod
    def _whole_above_one(cls, value: float | None) -> float | None:
        if value is not None and value > 1 and not value.is_integer():
            raise ValueError(f"more than one GPU must be a whole number of them, for Ray; give {math.ceil(value)}")
        return value

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


class ShadowRatesConfig(Config):
    """Rates of single strata of recorded depth, in place of `audit.rate`. A row's depth is the layers that it ran, of
    image, text and tokens together, out of those there are."""

    shallow: float | None = Field(default=None, ge=0, le=1)
    """Of rows that ran up to half of the layers."""
    middle: float | None = Field(default=None, ge=0, le=1)
    """Up to three quarters."""
    deep: float | None = Field(default=None, ge=0, le=1)
    """More, but not all."""
    full: float | None = Field(default=None, ge=0, le=1)
    """All layers: full depth gives these rows the same answer by construction."""


class AuditConfig(Config):
    """The shadow audit: evidence about quality and time, taken while the job runs and fixed in the plan before it.

    Off unless asked for: it costs time, and `mue audit run OUT` can look at a finished job's rows at any later time.
    What a job needs depends on its rows and on what is to be shown: `mue audit plan` says it.
    """

    seed: int = Field(default=0, ge=0)
    """Seed of the keyed hash that selects shadow rows."""
    rate: float = Field(default=0.0, ge=0, le=1)
    """Share of answered rows that are run again at full depth beside the others. Each costs the job what one row costs
    without exits. 0: none."""
    rates: ShadowRatesConfig = ShadowRatesConfig()
    margin: float | None = Field(default=None, gt=0, lt=1)
    """Largest share of rows whose answer may differ from full depth's for the job to count as no worse; to be declared
    before it runs. 0.005 is half a percentage point. Left out: nothing is claimed."""
    windows: int = Field(default=0, ge=0)
    """Timing windows of each model process, spread over its rows: it is drained, then runs the same rows with exits
    and at full depth against the clock. Each runs at least four times the rows in flight twice, more than a thousand
    with the defaults, and keeps their images in memory. 0: none, and nothing is said about time saved."""

    def rates_by_stratum(self) -> dict[Stratum, float]:
        """Return the rate of every stratum."""
        own = self.rates
        found = {stratum: getattr(own, stratum) for stratum in STRATA}
        return {stratum: self.rate if rate is None else rate for stratum, rate in found.items()}


class JobSpec(Config):
    """A whole job. `mue run -c job.yaml` reads one; `mue config init` writes an example."""

    inputs: InputsConfig
    output: OutputConfig
    task: Literal["caption", "entailment", "vqa"] = "caption"
    """What is asked of each image: to describe it, whether it bears a hypothesis out, or a question.
    `entailment` needs inputs.fields.hypothesis, `vqa` needs inputs.fields.question."""
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

    @field_validator("model")
    @classmethod
    def _no_secrets(cls, value: str) -> str:
        return without_secrets(written(value))

    @model_validator(mode="after")
    def _task_has_its_field(self) -> Self:
        needed, fields = NAMES[self.task], self.inputs.fields
        if self.task != "caption" and getattr(fields, needed) is None:
            raise ValueError(
                f"task '{self.task}' needs inputs.fields.{needed}: where is each row's {needed}? For example "
                f"--set inputs.fields.{needed}=txt, or 'json:{_EXAMPLES[self.task]}[*].{needed}' for several an image"
            )
        for task, name in NAMES.items():
            if task != self.task and getattr(fields, name) is not None:
                raise ValueError(
                    f"inputs.fields.{name} = {getattr(fields, name)!r} is for task '{task}', but the task is "
                    f"'{self.task}': add --task {task}, or leave the field out"
                )
        return self
