"""Cut a shallow model out of a deep one: its first layers, its stem, its tables and its head, full depth its default.

    python benchmarks/shallow.py MODEL FOLDER --layers 3
    python benchmarks/shallow.py MODEL FOLDER --layers 6 --new-layers

Trained on, it is what exits compete with: a model that was never meant to be deeper. With --new-layers none of the
layers is the deep one's: a start that sees and was never trained for exits. benchmarks/ablations.sh trains both.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parent.parent)  # beside this file pipeline.py hides the package of that name

from mue_model.checkpoint import build_model, load_weights
from mue_model.config import ModelConfig
from mue_model.model import MueModel
from mue_model.model_folder import ModelFacts
from mue_model.model_names import model_facts
from mue_model.training.export import write_model_folder
from mue_model.training.initialise import fresh_model

_LAYER = re.compile(r"\.(?:layers|(?:token|image)_rel_pos_table_list)\.(\d+)\.")


def shallow_config(config: ModelConfig, layers: int) -> ModelConfig:
    """Return `config` with so many layers in either stack."""
    return config.model_copy(update={"encoder_layers": layers, "decoder_layers": layers})


def shallow_model(facts: ModelFacts, layers: int, *, new_layers: bool = False) -> MueModel:
    """Return the first `layers` of both stacks of a model folder, or as many new ones, and all that is in no layer."""
    if facts.folder is None or not 1 <= layers <= min(facts.config.encoder_layers, facts.config.decoder_layers):
        raise SystemExit(f"{layers} layers cannot be cut out of '{facts.name}'")
    config = shallow_config(facts.config, layers)
    new = fresh_model(config, seed=0).state_dict() if new_layers else {}
    kept = {
        name: new[name] if layer and new else tensor.float()
        for name, tensor in load_weights(facts.folder, facts.config).items()
        if (layer := _LAYER.search(name)) is None or int(layer[1]) < layers
    }
    return build_model(config, kept)


def main() -> None:
    """Write the model folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--layers", type=int, default=3)
    parser.add_argument("--new-layers", action="store_true", help="none of MODEL's; stem, tables of words and head are")
    arguments = parser.parse_args()
    facts = model_facts(arguments.model)
    kind = "new layers" if arguments.new_layers else "layers"
    card = f"# {arguments.folder.name}\n\nCut out of {facts.name}: {arguments.layers} {kind} a stack.\n"
    model = shallow_model(facts, arguments.layers, new_layers=arguments.new_layers)
    write_model_folder(model, facts.processor, facts.generation, arguments.folder, lambda _: card)


if __name__ == "__main__":
    main()
