from __future__ import annotations

import subprocess
import sys

from mue_model.checkpoint import parameter_count
from mue_model.corpus.vocabulary import corpus_vocabulary
from mue_model.grid import STRIDE
from mue_model.model import parameter_shapes
from mue_model.tokenizer import build_word_tokenizer
from mue_model.training.sizes import IMAGE_SIZES, SIZES, model_config


def test_small_with_the_vocabulary_of_the_corpus_is_below_its_limits() -> None:
    vocab_size = build_word_tokenizer(corpus_vocabulary()).vocab_size
    config = model_config("small", vocab_size=vocab_size, streams="decomposed")
    shapes = parameter_shapes(config)
    assert parameter_count(shapes) <= 7_000_000
    assert (config.encoder_layers, config.decoder_layers) == (6, 6)
    assert vocab_size <= 8000


def test_every_size_has_image_positions_for_its_pictures() -> None:
    assert SIZES.keys() == IMAGE_SIZES.keys()
    for size, side in IMAGE_SIZES.items():
        assert side % STRIDE == 0
        assert side // STRIDE <= model_config(size, vocab_size=10, streams="joint").image_bucket_size


def test_settings_are_read_without_torch() -> None:
    modules = "mue_model.training.sizes, mue_model.training.recipe, mue_model.training.settings, jobs.train_spec"
    probe = f"import sys, {modules}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
