from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from mue_model.corpus.preview import write_preview
from mue_model.corpus.settings import CorpusError, CorpusSettings


def test_a_sheet_shows_every_level(tmp_path: Path) -> None:
    shown = write_preview(tmp_path / "sheet.png", CorpusSettings(levels=(1, 5), size=96), lines=1)
    assert shown == 12
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.format == "PNG"
        assert sheet.width > 6 * 256
        colours = sheet.convert("RGB").getcolors(1 << 24)
        assert colours is not None
        assert len(colours) > 1000


def test_a_sheet_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(CorpusError, match="cannot be written"):
        write_preview(tmp_path / "file" / "sheet.png", CorpusSettings(levels=(1,), size=96), lines=1)
