from __future__ import annotations

import json

from jobs.model_view import model_document
from mue_model.model_names import model_facts


def test_the_seeded_model_says_that_it_is_untrained() -> None:
    document = json.loads(json.dumps(model_document(model_facts("seeded"))))
    assert document["untrained"] is True
    assert document["config"]["encoder_layers"] > 0
    assert "default" in document["presets"]
