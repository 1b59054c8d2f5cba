"""Makes the processes of a test's own job die, hang or run out of memory, as a fault in a C library would.

On the `PYTHONPATH` of one job only; Python imports it when a process starts. An image is marked by the bytes behind its
end, which no decoder looks at.
"""

from __future__ import annotations

import importlib.abc
import importlib.util
import os
import re
import resource
import signal
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

IMAGES, ENGINE = "mue_model.images", "mue_model.engine.dense"


def suffer(how: str) -> None:
    """Die as by a segmentation fault, or hang in C code that keeps the interpreter's lock."""
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    re.match(r"(a+)+$", "a" * 60 + "b")


def hostile_decoder(module: ModuleType) -> None:
    decode = module.decode_image

    def decode_image(data: bytes, **settings: Any) -> Any:
        for how in ("kill", "hang"):
            if data.endswith(f"decode-{how}".encode()):
                suffer(how)
        return decode(data, **settings)

    module.decode_image = decode_image


def hostile_engine(module: ModuleType) -> None:
    """Rows are marked by uid: pixels have lost the mark."""
    admit = module.DenseRunner.admit

    def admitted(self: Any, ticket: int, row: Any) -> None:
        for how in ("kill", "hang"):
            if row.uid in os.environ.get(f"MUE_TEST_{how.upper()}", "").split():
                suffer(how)
        admit(self, ticket, row)

    module.DenseRunner.admit = admitted
    if "MUE_TEST_KILL_AT_START" in os.environ:
        module.DenseRunner.__init__ = lambda *_, **__: suffer("kill")
    if "MUE_TEST_ROOM_MIB" in os.environ:
        short_of_memory(module, room_mib=int(os.environ["MUE_TEST_ROOM_MIB"]))


def short_of_memory(module: ModuleType, *, room_mib: int) -> None:
    """Leave the process so much memory once the engine stands; a step takes `MUE_TEST_ROW_MIB` a row, a marked row all.

    The memory is really asked for, and really refused: what is raised is torch's own.
    """
    import torch

    build, region, admit = module.DenseRunner.__init__, module.DenseRunner._region, module.EncoderRegion.admit

    def built(self: Any, *arguments: Any) -> None:
        build(self, *arguments)
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        most = pages * resource.getpagesize() + (room_mib << 20)
        resource.setrlimit(resource.RLIMIT_AS, (most, most))

    class Needy:
        def __init__(self, region: Any) -> None:
            self._region = region

        def run(self, stage: Any, rows: list[int]) -> None:
            torch.empty(len(rows) * int(os.environ["MUE_TEST_ROW_MIB"]) << 20, dtype=torch.uint8)
            self._region.run(stage, rows)

    def admitted(self: Any, flight: Any) -> None:
        if flight.row.uid in os.environ.get("MUE_TEST_HUGE", "").split():
            torch.empty(1 << 42, dtype=torch.uint8)
        admit(self, flight)

    module.DenseRunner.__init__ = built
    module.DenseRunner._region = lambda self, stage: Needy(region(self, stage))
    module.EncoderRegion.admit = admitted


PATCHES = {IMAGES: hostile_decoder, ENGINE: hostile_engine}


class PatchedOnImport(importlib.abc.MetaPathFinder):
    def __init__(self) -> None:
        self._busy = False

    def find_spec(self, fullname: str, path: Any, target: ModuleType | None = None) -> ModuleSpec | None:
        if fullname not in PATCHES or self._busy:
            return None
        self._busy = True
        spec = importlib.util.find_spec(fullname)
        self._busy = False
        assert spec is not None
        assert spec.loader is not None
        execute, patch = spec.loader.exec_module, PATCHES[fullname]

        def execute_and_patch(module: ModuleType) -> None:
            execute(module)
            patch(module)

        spec.loader.exec_module = execute_and_patch  # type: ignore[method-assign]
        return spec


sys.meta_path.insert(0, PatchedOnImport())
