from __future__ import annotations

import subprocess
import sys

import pytest
from pydantic import ValidationError

from mue_model.corpus.settings import CorpusSettings


@pytest.mark.parametrize("wrong", [{"size": 64}, {"levels": (0,)}, {"levels": ()}, {"rows": -1}, {"colour": 1}])
def test_wrong_settings_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        CorpusSettings.model_validate(wrong)


def test_drawing_needs_neither_torch_nor_ray() -> None:
    code = "import sys, mue_model.corpus.write, mue_model.corpus.preview, mue_model.corpus.vocabulary\n"
    code += "assert not {'torch', 'ray'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
