"""Peak memory of every process of a job on one large shard.

    python benchmarks/memory.py [--gib 2]

Prints a table and, as the last line, one JSON document. `private` is resident minus shared: the pages of Ray's
object store are mapped into every process that touches them and are counted once, as shared.
"""

from __future__ import annotations

import argparse
import io
import json
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import psutil
import webdataset
from PIL import Image

MIB = 1 << 20


def write_shard(path: Path, n_bytes: int) -> int:
    """Write a shard of 640 x 480 JPEGs of about 150 KB; returns its rows."""
    rng = np.random.default_rng(0)
    images = []
    for _ in range(32):
        coarse = Image.fromarray(rng.integers(0, 256, (60, 80, 3), dtype=np.uint8)).resize((640, 480))
        noisy = np.clip(np.asarray(coarse) + rng.normal(0, 9, (480, 640, 3)), 0, 255).astype(np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(noisy).save(buffer, "JPEG", quality=88)
        images.append(buffer.getvalue())
    rows = 0
    with webdataset.TarWriter(str(path)) as writer:
        while path.stat().st_size < n_bytes:
            writer.write({"__key__": f"{rows:07d}", "jpg": images[rows % len(images)], "txt": b"noise"})
            rows += 1
    return rows


def name_of(process: psutil.Process) -> str:
    """A short name that is the same for all processes of one kind."""
    words = " ".join(process.cmdline()).strip() or process.name()
    return words.split("(pid")[0][:48].split(".", 1)[0] if words.startswith("ray::") else process.name()


def watch(job: subprocess.Popen[bytes]) -> dict[str, tuple[float, float]]:
    """Sample until the job ends; returns the peaks (resident, private) in MiB by process name."""
    peaks: dict[str, tuple[float, float]] = defaultdict(lambda: (0.0, 0.0))
    while job.poll() is None:
        for process in [psutil.Process(job.pid), *psutil.Process(job.pid).children(recursive=True)]:
            try:
                memory, name = process.memory_info(), name_of(process)
            except psutil.Error:
                continue
            resident, private = peaks[name]
            peaks[name] = (max(resident, memory.rss / MIB), max(private, (memory.rss - memory.shared) / MIB))
        time.sleep(1)
    return peaks


def main() -> None:
    """Make the shard, run the job on it, print the peaks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gib", type=float, default=2.0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        shard = Path(folder) / "00000.tar"
        rows = write_shard(shard, int(arguments.gib * (1 << 30)))
        command = [sys.executable, "-c", "from jobs.cli import main; main()", "run", str(shard)]
        began = time.monotonic()
        job = subprocess.Popen([*command, "--output", f"{folder}/out"], stdout=subprocess.DEVNULL)
        peaks = watch(job)
        wall_s = time.monotonic() - began
        size = shard.stat().st_size
    for name, (resident, private) in sorted(peaks.items(), key=lambda item: -item[1][1])[:12]:
        print(f"{resident:8.0f} MiB resident {private:8.0f} MiB private  {name}")
    largest = {
        "resident_mib": max(peak[0] for peak in peaks.values()),
        "private_mib": max(p[1] for p in peaks.values()),
    }
    document = {"rows": rows, "shard_bytes": size, "exit_code": job.returncode, "wall_s": wall_s, **largest}
    print(json.dumps({key: round(value, 1) for key, value in document.items()}))


if __name__ == "__main__":
    main()
