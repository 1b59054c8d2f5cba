from __future__ import annotations

import os
from pathlib import Path

import pytest

from jobs.spec import load_spec
from mue_model.config import ConfigError, ExitConfig

JOB = """\
inputs:
  urls: [a.tar, b.tar]
output: {url: out}
exits: {image: 0.9}
generation: {max_tokens: 12}
"""


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    Path("job.yaml").write_text(JOB)
    return "job.yaml"


def refusal(path: str | None, *overrides: str, inputs: tuple[str, ...] = (), output: str | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        load_spec(path, inputs=inputs, output=output, overrides=overrides)
    return str(caught.value)


def test_a_command_line_alone_is_a_job() -> None:
    spec = load_spec(None, inputs=["x.tar"], output="out", overrides=[])
    assert (spec.inputs.urls, spec.output.url, spec.model, spec.exits) == (("x.tar",), "out", "demo", "default")


def test_the_command_line_wins_over_the_file(job: str) -> None:
    spec = load_spec(
        job, inputs=["c.tar"], output="else", overrides=["generation.max_tokens=3", "exits.text=[0.5, .6]"]
    )
    assert spec.inputs.urls == ("c.tar",)
    assert spec.output.url == "else"
    assert spec.generation.max_tokens == 3
    assert spec.exits == ExitConfig(image=0.9, text=(0.5, 0.6))


def test_set_wins_over_the_other_options_and_keeps_its_neighbours(job: str) -> None:
    spec = load_spec(job, inputs=[], output=None, overrides=["output.rows_per_part=7", "inputs.urls=[z.tar]"])
    assert (spec.output.url, spec.output.rows_per_part, spec.inputs.urls) == ("out", 7, ("z.tar",))


def test_values_may_hold_equals_signs() -> None:
    spec = load_spec(None, inputs=["x"], output="out", overrides=["model=a=b"])
    assert spec.model == "a=b"


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("exits.imgae=0.9", "command line: exits.imgae = 0.9: unknown key, did you mean 'image'?"),
        ("exitss.image=0.9", "command line: exitss = {'image': 0.9}: unknown key, did you mean 'exits'?"),
        ("actors.min=many", "command line: actors.min = 'many': expected a whole number"),
        ("task=vqua", "command line: task = 'vqua': expected 'caption' or 'entailment' or 'vqa', did you mean 'vqa'?"),
        ("task=vqa", "job.yaml: task 'vqa' needs inputs.fields.question: where is each row's question? For example "),
        (
            "inputs.fields.hypothesis=txt",
            "job.yaml: inputs.fields.hypothesis = 'txt' is for task 'entailment', but the task is 'caption': add",
        ),
        (
            "inputs.fields.hypothesis=ve[].hypothesis",
            "command line: inputs.fields.hypothesis = 've[].hypothesis': expected a field such as json:captions or txt"
            ", did you mean 'json:ve[*].hypothesis'?",
        ),
        ("inputs.fields.label=json:a[", "command line: inputs.fields.label = 'json:a[': cannot read the path at '['"),
        ("task", "--set 'task': expected key=value, as in --set exits.image=0.9"),
        (".a=1", "--set '.a=1': expected key=value, as in --set exits.image=0.9"),
        ("task=[", "--set 'task=[': the value is not valid YAML: line 1: "),
        (
            "model=2020-99-99",
            "--set 'model=2020-99-99': the value is not valid YAML: line 1: '2020-99-99' is no time",
        ),
        ("audit.seed=!!int x", "--set 'audit.seed=!!int x': the value is not valid YAML: line 1: 'x' is no int"),
        ("task=!!bool x", "--set 'task=!!bool x': the value is not valid YAML: line 1: 'x' is no bool"),
        ("x=" + "[" * 3000, f"--set 'x={'[' * 55}...{'[' * 58}': the value is not valid YAML: brackets are nested too"),
        ("exits.image=no", "command line: exits.image = False: expected a number, and YAML takes yes, no, on and off"),
        ("exits.text=[0.9, off]", "command line: exits.text = [0.9, False]: expected a number"),
        ("actors.min=yes", "command line: actors.min = True: expected a number"),
        ("audit.rates.deep=on", "command line: audit.rates.deep = True: expected a number"),
        (
            "audit.seed=9223372036854775808",
            "command line: audit.seed = 9223372036854775808: expected a number of at",
        ),
        (
            f"audit.seed=0x{'f' * 6000}",
            "command line: audit.seed = <a whole number of 7,225 digits>: expected",
        ),
        (f"audit.seed={'1:' * 200}1.0", "--set 'audit.seed=1:"),
        ("actors.num_cpus=1e-320", "command line: actors.num_cpus = '1e-320': must be 0, or 0.0001 and more"),
        ("actors.num_gpus=0.00001", "command line: actors.num_gpus = 1e-05: must be 0, or 0.0001 and more"),
        ('output.url="a\\0b"', "command line: output.url = 'a\\x00b': holds what no path can hold"),
        ('output.url="s3://o/\\ud800"', "command line: output.url = 's3://o/\\ud800': holds what no path can hold"),
        ('model="a\\0b"', "command line: model = 'a\\x00b': holds what no path can hold"),
        ('inputs.urls=["a\\0b"]', "command line: inputs.urls = ['a\\x00b']: holds a NUL"),
        ("exits.image=.nan", "command line: exits.image = nan: must be a finite number"),
        ("exits.text=[.5, -.inf]", "command line: exits.text.1 = -inf: must be a finite number"),
        ("actors.num_cpus=.inf", "command line: actors.num_cpus = inf: must be a finite number"),
        ("actors.num_gpus=1.5", "command line: actors.num_gpus = 1.5: more than one GPU must be a whole number"),
        ("task={a: 1, a: 2}", "--set 'task={a: 1, a: 2}': the value is not valid YAML: line 1: the key 'a' is given"),
        ("output.url.x=1", "job.yaml: output.url is 'out', a single value: x cannot be set inside it"),
    ],
)
def test_a_wrong_override_is_explained(job: str, override: str, expected: str) -> None:
    assert refusal(job, override).startswith(expected)


def test_each_wrong_key_names_its_own_source(job: str) -> None:
    Path(job).write_text(JOB + "engine: {gruop_size: 3}\n")
    text = refusal(job, "actors.min=0")
    assert "job.yaml: engine.gruop_size = 3: unknown key, did you mean 'group_size'?" in text
    assert "command line: actors.min = 0: must be greater than 0" in text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("inputs: {urls: a}\ninputs: {urls: b}\n", "job.yaml: line 2: the key 'inputs' is given twice; keep one"),
        ("inputs:\n  urls: a\n  urls: b\n", "job.yaml: line 3: the key 'urls' is given twice; keep one"),
        ("inputs: [\n", "job.yaml: line 2: "),
        ("- a\n", "job.yaml: holds a list; expected sections such as 'inputs:', 'output:'"),
        ("x: !!python/object/apply:os.system [ls]\n", "job.yaml: line 1: could not determine a constructor"),
        ("inputs: {urls: a}\noutput: out\n", "job.yaml: output = 'out': expected a section with the keys"),
        ("inputs:\noutput: {url: x}\n", "job.yaml: inputs = None: expected a section with the keys"),
        ("1: 2\n", "job.yaml: "),
        ("&a b: *a\n", "job.yaml: "),
        ("b: &a {c: *a}\n", "job.yaml: "),
        ("\x00", "job.yaml: "),
    ],
)
def test_a_wrong_file_is_explained(job: str, text: str, expected: str) -> None:
    Path(job).write_text(text)
    assert refusal(job).startswith(expected)


@pytest.mark.parametrize("override", [None, "task.x=1"])
def test_aliases_make_no_long_message(job: str, override: str | None) -> None:
    """As many as these would be gigabytes if all were written out; fewer here, so that a failure ends."""
    bomb = "&a0 [x, x, x, x, x, x, x, x, x]"
    for level in range(1, 5):
        bomb = f"&a{level} [{bomb}{f', *a{level - 1}' * 8}]"
    Path(job).write_text(f"{JOB}task: {bomb}\n")
    text = refusal(job, *filter(None, [override]))
    assert "task" in text
    assert len(text) < 5000


@pytest.mark.parametrize(
    "text",
    [
        f"{'k' * 200_000}: 1\n",
        f"{'k' * 200_000}: 1\n" * 2,
        f"a: *{'k' * 200_000}\n",
        f"a: !{'k' * 200_000} 1\n",
        f"inputs: {{urls: [{'1,' * 3000}]}}\noutput: {{url: x}}\n",
        "".join(f"key{number}: 1\n" for number in range(5000)),
    ],
)
def test_no_file_makes_a_long_message(job: str, text: str) -> None:
    Path(job).write_text(text)
    assert len(refusal(job)) < 5000


def test_of_many_wrong_settings_the_first_are_named_and_the_others_counted(job: str) -> None:
    Path(job).write_text(JOB + "".join(f"key{number}: 1\n" for number in range(50)))
    text = refusal(job)
    assert "key0 = 1" in text
    assert "key19 = 1" in text
    assert "key20" not in text
    assert text.endswith("and 30 more wrong settings")


@pytest.mark.parametrize(
    ("text", "overrides"),
    [
        ("inputs: {urls: a}\noutput: s3://AKIA:hunter2@b/out\n", []),
        ("inputs: s3://AKIA:hunter2@b/a.tar\noutput: {url: o}\n", []),
        ("inputs: {urls: a}\nouput: {url: 's3://AKIA:hunter2@b/out'}\n", []),
        ("inputs: {urls: {x: 's3://AKIA:hunter2@b/a.tar'}}\noutput: {url: o}\n", []),
        ("inputs: {urls: a}\noutput: {url: o}\ntask: 'https://u:hunter2@h/t'\n", []),
        ("inputs: {urls: a}\noutput: {url: o}\n'https://u:hunter2@h/t': 1\n", []),
        ("inputs: {urls: a}\noutput: {url: 's3://AKIA:hunter2@b/out'}\n", ["output.url.x=1"]),
        ("inputs: {urls: a}\noutput: {url: o}\n", ["model=https://u:hunter2@h/x: y: ["]),
        ("inputs: {urls: a}\noutput: {url: o}\n", ["https://u:hunter2@h/x"]),
    ],
)
def test_a_secret_in_the_wrong_place_is_not_repeated(job: str, text: str, overrides: list[str]) -> None:
    Path(job).write_text(text)
    said = refusal(job, *overrides)
    assert "hunter2" not in said
    assert "…@" in said


def test_only_local_files_are_read() -> None:
    assert refusal("https://u:hunter2@h/j.yaml").startswith("'https://…@h/j.yaml': only local files can be read")


def test_merge_keys_are_no_duplicates(job: str) -> None:
    Path(job).write_text("inputs: {urls: a}\noutput: &o {url: x}\nactors: {<<: {min: 2}, max: 3}\n")
    assert load_spec(job, inputs=[], output=None, overrides=[]).actors.min == 2
    nested = "engine: {<<: &b {<<: &a {threads: 1}, threads: 2}, group_size: 3}\nfilters: {<<: *b}\n"
    Path(job).write_text(JOB + nested)
    assert "job.yaml: filters.threads = 2: unknown key" in refusal(job)


@pytest.mark.timeout(60)
def test_what_has_no_writer_or_no_end_is_refused_and_what_a_shell_hands_over_is_read(
    job: str,
) -> None:
    os.mkfifo("pipe.yaml")
    assert refusal("pipe.yaml").startswith("pipe.yaml: cannot be read as text: [Errno 22] is not a regular file")
    assert refusal("/dev/zero").startswith("/dev/zero: cannot be read as text: [Errno 22] is not a regular file")
    Path("link.yaml").symlink_to("pipe.yaml")
    assert "is not a regular file" in refusal("link.yaml")
    reader, writer = os.pipe()
    with os.fdopen(writer, "wb") as file:
        file.write(JOB.encode())
    assert load_spec(f"/dev/fd/{reader}", inputs=[], output=None, overrides=[]).output.url == "out"
    os.close(reader)


def test_files_that_would_fill_the_memory_are_refused(job: str) -> None:
    with Path(job).open("ab") as file:
        file.truncate((8 << 20) + 1)
    assert refusal(job).startswith("job.yaml: cannot be read as text: [Errno 27] has more than 8,388,608 bytes")


def test_files_that_cannot_be_read_are_named(job: str, tmp_path: Path) -> None:
    assert "nowhere.yaml: no such file; 'mue config init > nowhere.yaml'" in refusal("nowhere.yaml")
    assert refusal(str(tmp_path)).startswith(f"{tmp_path}: cannot be read as text")
    Path("latin.yaml").write_bytes(b"model: \xe9")
    assert refusal("latin.yaml").startswith("latin.yaml: cannot be read as text")


def test_missing_input_and_output_say_how_to_give_them(job: str) -> None:
    Path(job).write_text("")
    text = refusal(job)
    assert "job.yaml: no input given; name shards, as in mue run" in text
    assert "job.yaml: no output folder given; add --output OUT" in text
    assert "command line: no output folder given" in refusal(None, inputs=("a.tar",))
