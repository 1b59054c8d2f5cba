"""Put a trained and tuned model into the package, and in its card what it is worth with each of its exit presets.

    python demo/ship.py RUN... CORPUS [--to FOLDER] [--onto] [-- --depths 2/1/3 --beside 'shallow=MODEL']

Each RUN is the folder of a run of `mue train` that went on from the one before (demo/checkpoint.sh); the last one's
model ships, with the cards of the others in its own. With --onto the first one went on from the model that ships now,
whose card then tells what came before. The figures are those of the test split, measured here by benchmarks/quality.py,
which is given what stands behind `--` too: more of what exits are held against.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from mue_model.model_folder import CARD_FILE, EXITS_FILE, read_presets
from mue_model.training.card import EXITS_HEAD, LIMITS_HEAD

REPOSITORY = Path(__file__).resolve().parent.parent
SHIPPED = REPOSITORY / "mue_model" / "shipped" / "demo"
DEFAULT = "balanced"
MEASURED = (
    *("--images", "2000", "--entailment-images", "600", "--group-size", "64", "--paper"),
    *("--timed", "32", "64", "1", "--timed-rows", "1280", "--rounds", "3"),
)
_NOTE = (
    "Thresholds were chosen by `mue tune` on pictures of their own, as exits.json tells, which names a certificate "
    "where a preset has one; the figures are of the test split, the dense engine. FLOPs are executed ones against "
    "full depth at the same length. Time is the processor's, one thread, in groups of 32, 64 and one by one, of the"
    " first 1,280 rows (200 one by one) against full depth in the same round, the median of three. `constant 2/1/3`"
    " is a depth for images, texts and tokens or answers; `paper` and `its scripts` are MuE's own thresholds. "
    "Quality: captions that are word for word one of five references; right labels; `kept` is quality over that of "
    "full depth, with a 95 % interval of the same rows in pairs. FLOPs are of each row as if it ran alone, `of a "
    "job` counts what rows share once. A tenth of the test rows shows nouns that no training row has, which no "
    "model of this vocabulary was taught."
)

_BEFORE = "## The runs before"
_LIMIT = (
    "- Of hypotheses, neutral ones, a third of all, are told by their words alone; those about relations among several "
    "things (levels 3 to 5) are the hard ones."
)


def main() -> None:
    """Copy the model, then measure and describe its presets. A rehearsal's model, too poor to tune, goes without."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN")
    parser.add_argument("corpus", type=Path, metavar="CORPUS")
    parser.add_argument("--to", type=Path, default=SHIPPED, metavar="FOLDER", help="instead of the package's own")
    parser.add_argument("--onto", action="store_true", help="the runs went on from the model that ships")
    mine, compared = told_apart(sys.argv[1:])
    arguments = parser.parse_args(mine)
    shipped: Path = arguments.to
    model = arguments.runs[-1] / "model"
    if shipped == SHIPPED and DEFAULT not in read_presets(model / EXITS_FILE):
        parser.error(f"{model} has no preset '{DEFAULT}'; `mue tune {model} VAL --output TUNED --write` finds it one")
    before = runs_told_by((SHIPPED / CARD_FILE).read_text("utf-8")) if arguments.onto else []
    shutil.rmtree(shipped, ignore_errors=True)
    shutil.copytree(model, shipped)
    test = str(arguments.corpus / "test")
    command = [sys.executable, str(REPOSITORY / "benchmarks" / "quality.py"), str(shipped), test, *MEASURED, *compared]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    print(done.stdout)
    card = card_of(arguments.runs, json.loads(done.stdout.splitlines()[-1]), before)
    (shipped / CARD_FILE).write_text(card, "utf-8")


def told_apart(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Return what stands before `--`, and behind it."""
    place = arguments.index("--") if "--" in arguments else len(arguments)
    return arguments[:place], arguments[place + 1 :]


def card_of(runs: list[Path], figures: dict[str, Any], before: list[str]) -> str:
    """Return the last run's card with the presets' figures, and what the others' cards say of their training."""
    tables = [table(figures[task], task) for task in ("caption", "entailment")]
    *earlier, card = ((run / "model" / CARD_FILE).read_text("utf-8") for run in runs)
    card = card.split("\n", 1)[1]  # its title is the name of a folder
    facts, rest = card.split(EXITS_HEAD)
    _, after = rest.split(LIMITS_HEAD)
    told = [*before, *map(training_of, earlier)]
    limits = f"{LIMITS_HEAD}{after.rstrip()}\n{_LIMIT}"
    sections = [f"# demo{facts}{EXITS_HEAD}", _NOTE, *tables, limits, _BEFORE, *told]
    text = "\n\n".join(section.strip() for section in sections)
    return f"{text}\n"


def training_of(card: str) -> str:
    """Return what a run's card says of its data and training, its heads one level lower."""
    lines = card.split("## Weights")[0].splitlines()
    return "\n".join(f"#{line}" if line.startswith("#") else line for line in lines)


def runs_told_by(shipped: str) -> list[str]:
    """Return what a shipped card says of all runs that led to its model, the last one's under the name it had."""
    own, before = shipped.split(_BEFORE)
    named = re.search(r"--output (\S+)", own)
    assert named is not None, "the card has the command of its run"
    return [before, training_of(own.replace("# demo", f"# {named[1]}\n", 1))]


def table(rows: list[dict[str, Any]], task: str) -> str:
    """Return the points of one task as Markdown."""
    levels = list(rows[0]["by_level"])
    heads = [f"{task}, {rows[0]['rows']:,} rows", "quality", "kept", *(f"level {level}" for level in levels)]
    sizes = [f"time at {size}" for size in rows[0]["time_share"]]
    cider = ["CIDEr-D"] if rows[0]["cider_d"] is not None else []
    lines = [[*heads, *cider, "layers: image", "text", "decoder", "paper's metric", "FLOPs", "of a job", *sizes]]
    lines.append(["---"] * len(lines[0]))
    for row in rows:
        layers = [f"{mean:.2f}" for mean in row["layers"].values()]
        quality = [f"{row['quality']:.1%}", f"{row['kept']:.1%} ± {row['kept_within']:.1%}"]
        costs = [f"{row[name]:.1%}" for name in ("paper_layer_metric", "flops_share", "work_share")]
        by_level = [f"{share:.1%}" for share in row["by_level"].values()]
        times = [f"{share:.1%}" for share in row["time_share"].values()]
        scored = [f"{row['cider_d']:.3f}"] if cider else []
        lines.append([row["point"], *quality, *by_level, *scored, *layers, *costs, *times])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    main()
