"""Keeps secrets out of plans, rows, receipts and logs, all of which name the URLs of a job: such URLs are refused."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

from pydantic_core import PydanticCustomError

from mue_model.config_errors import HOLDS_SECRET

_PARAMETERS = {
    "x-amz-signature", "x-amz-credential", "x-amz-security-token", "awsaccesskeyid", "x-goog-signature",
    "x-goog-credential", "googleaccessid", "sig", "signature", "token", "access_token", "key", "api_key", "apikey",
    "secret", "password",
}  # fmt: skip
"""Of signed URLs, and what people call their keys."""


def without_secrets(url: str) -> str:
    """Return `url`, or raise `ValueError`, which does not repeat it, if it carries a password, key or signature."""
    if "://" not in url:
        return url
    scheme, _, rest = url.partition("://")
    authority = rest.partition("/")[0]
    if "@" in authority and ":" in authority.rpartition("@")[0]:
        raise _refused(f"a {scheme}:// URL with a user and a password")
    # `urlsplit` stumbles over brackets of a glob; parameters stand behind the last question mark in any case.
    query = urlsplit(f"x://x/?{rest.partition('?')[2]}").query
    found = sorted({name for name, _ in parse_qsl(query, keep_blank_values=True) if name.lower() in _PARAMETERS})
    if found:
        raise _refused(f"a {scheme}:// URL with {', '.join(found)}")
    return url


def _refused(what: str) -> PydanticCustomError:
    """Return a `ValueError` of the kind whose setting is named but not shown."""
    return PydanticCustomError(
        HOLDS_SECRET,
        what + " would be written into the plan, every row and the logs; give the plain URL, and the secret as the "
        "store's client takes it: environment variables, its own file, or the machine's role",
    )
