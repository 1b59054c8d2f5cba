from __future__ import annotations

import traceback

import pytest

from jobs.spec import load_spec
from mue_model.config import ConfigError
from pipeline.url_secrets import without_secrets

SECRET = "hunter2hunter2"


@pytest.mark.parametrize(
    "url",
    [
        f"https://user:{SECRET}@host/a.tar",
        f"s3://key:{SECRET}@bucket/a.tar",
        f"https://host/a.tar?X-Amz-Algorithm=x&X-Amz-Signature={SECRET}",
        f"https://host/a.tar?sv=2024&sig={SECRET}",
        f"https://host/{{000..003}}.tar?token={SECRET}",
        f"https://host/[ab].tar?a=b&ACCESS_TOKEN={SECRET}",
    ],
)
def test_a_secret_in_a_url_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(ValueError, match="environment variables") as caught:
        without_secrets(url)
    assert SECRET not in str(caught.value)
    whole = {"inputs": ["a.tar"], "output": "out", "overrides": []}
    for changed in ({"inputs": [url]}, {"output": url}, {"overrides": [f"model='{url}'"]}):
        with pytest.raises(ConfigError, match="would be written into the plan") as refused:
            load_spec(None, **(whole | changed))
        assert SECRET not in "".join(traceback.format_exception(refused.value)), "not with -v either"


@pytest.mark.parametrize(
    "url",
    [
        "a.tar",
        "user:x@y.tar",
        "s3://bucket/a@b:c.tar",
        "https://user@host/a.tar",
        "https://h/a.tar?version=3",
        "gs://b/k=v/a.tar",
    ],
)
def test_urls_without_secrets_pass(url: str) -> None:
    assert without_secrets(url) == url
