"""Keeps secrets out of plans, rows, receipts and logs, all of which name the URLs of a job: such URLs are refused."""

from __future__ import annotations

import re
import string
from urllib.parse import unquote_plus

from pydantic_core import PydanticCustomError

from mue_model.brief import brief
from mue_model.config_errors import HOLDS_SECRET

_SCHEME = string.ascii_letters + string.digits + "+.-"
_IN_FILES = frozenset({"zip", "tar", "libarchive", "file", "local", "dir", "filecache", "simplecache", "blockcache"})
"""Schemes whose links are paths, of a member or of a file: nobody logs in there."""
_WITHOUT_PORTS = frozenset({"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az"})
_PORT = re.compile(r"\d{0,5}")
_END_OF_AUTHORITY = re.compile("[/?#]")
_END_OF_PATH = re.compile("[?#]")
_SEPARATOR = re.compile("[?#&;]")
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
"""Of a name: `X-Amz-Signature`, `access_key`, `AccountKey` and `APIKey` have several."""
_LONGEST_NAME = 200

_SECRET_WORDS = re.compile(
    r"""(?:^|_)(?:
        \w*token | \w*secrets?(?:key|id)? | \w*passw\w* | \w*passphrase | pwd | sig | \w*signature
        | o?auth | authorization | authentication | authkey | credentials? | creds? | bearer | jwt | sas | hmac
        | (?:api|access|account|auth|client|master|private|secret|service|shared|sign|signing)?key(?=$|_id|_value|_pair)
        | awsaccesskeyid | google_?access_?id
    )(?=_|$)""",
    re.VERBOSE,
)  # fmt: skip
"""In the words of a name joined by `_`. Whole words: `keyframe`, `monkey`, `signal`, `author` and `max_tokens` pass."""
_SECRET_NAMES = frozenset({"pass"})
"""Too common as a word of other names."""


def without_secrets(url: str) -> str:
    """Return `url`, or raise `ValueError`, which does not repeat it, if it carries a password, key or signature.

    Every link of a chain (`zip://a.tar::https://host/b.zip`) is looked at, and parameters wherever they stand.
    """
    first, *links = url.split("://")
    scheme = _scheme_at_end(first)
    for link in links:
        if what := _user(scheme, link):
            raise _refused(f"a {scheme}:// URL with {what}")
        if names := _secret_parameters(link):
            raise _refused(f"a {scheme}:// URL with {', '.join(map(brief, names[:5]))}")
        scheme = _scheme_at_end(link)
    return url


def _scheme_at_end(text: str) -> str:
    return text[len(text.rstrip(_SCHEME)) :].lower()[-20:]


def _user(scheme: str, link: str) -> str:
    """Return what stands before the `@` of a link, in words; empty where nothing secret can."""
    if scheme in _IN_FILES or "@" not in link:
        return ""
    authority = _END_OF_AUTHORITY.split(link, maxsplit=1)[0]
    user, at, _ = authority.rpartition("@")
    if ":" in user:
        return "a user and a password"
    if at:
        # abfs://container@account and sftp://user@host name a place; over http a token stands there.
        return "a user" if not scheme or "http" in scheme else ""
    # `@` behind a slash: of a path, as in http://host:9000/a@b.tar, unless the slash is a password's.
    _, colon, port = authority.rpartition("]")[2].partition(":")
    if colon and "@" in _END_OF_PATH.split(link, maxsplit=1)[0]:
        is_port = _PORT.fullmatch(port) and scheme not in _WITHOUT_PORTS
        return "" if is_port else "a user and a password"
    return ""


def _secret_parameters(link: str) -> list[str]:
    """Return the names of parameters that hold secrets: behind `?` or `#`, or behind `;` in a path."""
    if "=" not in link:
        return []
    path = _END_OF_PATH.split(link, maxsplit=1)[0]
    pieces = [*path.split(";")[1:], *_SEPARATOR.split(link[len(path) :])]
    names = {unquote_plus(piece.partition("=")[0][-_LONGEST_NAME:]) for piece in pieces if "=" in piece}
    return sorted(filter(_is_secret, names))


def _is_secret(name: str) -> bool:
    # Also in lower case: `aCCESS_tOKEN` is a name's odd spelling, not words of one letter.
    words = ("_".join(_WORD.findall(name)).lower(), "_".join(_WORD.findall(name.lower())))
    return name.lower() in _SECRET_NAMES or any(map(_SECRET_WORDS.search, words))


def _refused(what: str) -> PydanticCustomError:
    """Return a `ValueError` of the kind whose setting is named but not shown."""
    return PydanticCustomError(
        HOLDS_SECRET,
        what + " would be written into the plan, every row and the logs; give the plain URL, and the secret as the "
        "store's client takes it: environment variables, its own file, or the machine's role",
    )
