"""The calibration as a document."""

from __future__ import annotations

import json
from pathlib import Path

from jobs.tune import Tuning
from jobs.tune_document import tune_document, write_document
from jobs.tune_settings import TuneSettings
from mue_model.config import ExitConfig
from mue_model.model_names import model_facts

FACTS = model_facts("demo")


def test_the_document_holds_what_an_auditor_asks(tuned: Tuning, tune_settings: TuneSettings, tmp_path: Path) -> None:
    document = tune_document(tuned, tune_settings, FACTS)
    assert json.loads(write_document(document, tmp_path).read_text("utf-8")) == document
    assert document["model_digest"] == FACTS.digest
    assert document["data"]["images"] == {"caption": 16, "entailment": 11}, "of which there are six rows"
    certificate = document["certificate"]
    assert (certificate["alpha"], certificate["delta"]) == (0.7, 0.05)
    testing = certificate["images_that_test"]
    assert testing["caption"] == 8
    assert 0 < testing["entailment"] == 11 - len(tuned.asked.images_of("entailment") & tuned.asked.screened)
    assert certificate["loss"]
    assert {step["point"] for step in certificate["path"]} == {point.name for point in tuned.points[1:]}
    assert set(document["times"]) == {point.name for point in tuned.points}
    point = document["points"][-1]
    assert ExitConfig.model_validate(point["exits"]) == tuned.points[-1].exits
    assert point["tasks"]["caption"]["cider_d"] > 0
    assert point["screened"]["kept"] <= 1.5
