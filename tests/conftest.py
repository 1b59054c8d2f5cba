"""Shared fixtures: one torch thread, the shared material where it is present, S3 and GCS servers on loopback."""

from __future__ import annotations

import logging
import os
import shutil
import socket
import uuid
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

if shutil.which("nvidia-smi") is None:
    # Before anything imports Triton: its kernels then run on the CPU, one program after another.
    os.environ["TRITON_INTERPRET"] = "1"
REPOSITORY = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("MUE_SHARED", REPOSITORY.parent / "shared"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With several workers: a file stays with one, and all tests of the one local Ray stay together."""
    for item in items:
        in_ray = "ray_local" in getattr(item, "fixturenames", ())
        item.add_marker(pytest.mark.xdist_group("ray" if in_ray else str(item.path.relative_to(REPOSITORY))))


@pytest.fixture(scope="session", autouse=True)
def _one_torch_thread() -> None:
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def photo_shards() -> list[str]:
    """Four tars with 60 real photographs; the test skips where they are absent."""
    shards = sorted((SHARED / "corpus").glob("coco-*.tar"))
    if not shards:
        pytest.skip("no photographs at hand")
    return [str(shard) for shard in shards]


@pytest.fixture(scope="session")
def bpe_folder() -> Path:
    """OFA's published tokenizer data; the test skips where it is absent."""
    folder = SHARED / "bpe"
    if not (folder / "dict.txt").is_file():
        pytest.skip("no tokenizer data at hand")
    return folder


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """URL of an S3 server that lives in this process."""
    pytest.importorskip("s3fs")
    moto = pytest.importorskip("moto.server")
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    with pytest.MonkeyPatch.context() as patch:
        server.start()
        host, port = server.get_host_and_port()
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "HTTP_PROXY", "http_proxy"):
            patch.delenv(name, raising=False)
        yield f"http://{host}:{port}"
        server.stop()


def new_bucket(store: Any) -> str:
    """Name of an empty bucket, made in the fsspec file system `store`."""
    name = f"bucket-{uuid.uuid4().hex}"
    store.mkdir(name)
    return name


@pytest.fixture
def s3_bucket(s3_server: str) -> str:
    """URL of a new, empty bucket."""
    return f"s3://{new_bucket(pytest.importorskip('s3fs').S3FileSystem(skip_instance_cache=True))}"


@pytest.fixture
def bucket(s3_bucket: str) -> str:
    """The store that most tests take."""
    return s3_bucket


@pytest.fixture(scope="session")
def gs_server() -> Iterator[str]:
    """URL of a GCS server that lives in this process."""
    server = pytest.importorskip("gcp_storage_emulator.server")
    insert = server.objects.insert

    def insert_if(request: Any, response: Any, storage: Any, *arguments: Any, **named: Any) -> None:
        """The emulator ignores a condition; Google answers 412, by its documentation."""
        name = (request.query.get("name") or [None])[0] or request.data["meta"]["name"]
        bucket, condition = request.params["bucket_name"], request.query.get("ifGenerationMatch")
        if condition == ["0"] and name in storage.objects.get(bucket, {}):
            response.status = HTTPStatus.PRECONDITION_FAILED
            return
        insert(request, response, storage, *arguments, **named)

    with pytest.MonkeyPatch.context() as patch:
        # gcsfs asks Google by gRPC what kind of bucket it is, else, and takes a minute to give up.
        patch.setenv("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
        pytest.importorskip("gcsfs")
        for _, handlers in server.HANDLERS:
            if handlers.get("POST") is insert:
                patch.setitem(handlers, "POST", insert_if)
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        running = server.create_server("127.0.0.1", port, in_memory=True)
        running.start()
        patch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{port}")
        yield f"http://127.0.0.1:{port}"
        running.stop()


@pytest.fixture
def gs_bucket(gs_server: str) -> str:
    """URL of a new, empty bucket."""
    return f"gs://{new_bucket(pytest.importorskip('gcsfs').GCSFileSystem(skip_instance_cache=True))}"
