"""The strict tar reader against the standard library's writer and reader, and against every way a tar can break."""

from __future__ import annotations

import io
import pickle
import tarfile
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.records import ShardCode
from pipeline.tar_header import BLOCK_BYTES
from pipeline.tar_reader import MAX_EXTENSION_BYTES, ShardError, TarMember, read_members

FORMATS = {"ustar": tarfile.USTAR_FORMAT, "gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}
LIMIT = 1 << 20


def tar_of(members: Iterable[tuple[str | tarfile.TarInfo, bytes]], tar_format: int = tarfile.USTAR_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tar_format) as tar:
        for name, data in members:
            info = tarfile.TarInfo(name) if isinstance(name, str) else name
            info.size = len(data) if info.isreg() else 0
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def drain(data: bytes, *, limit: int = LIMIT, seek: bool = False) -> tuple[list[TarMember], ShardError | None]:
    return drain_stream(io.BytesIO(data), limit=limit, seek=seek)


def drain_stream(
    stream: io.BytesIO, *, limit: int = LIMIT, seek: bool = False
) -> tuple[list[TarMember], ShardError | None]:
    members = []
    try:
        for member in read_members(stream, max_member_bytes=limit, seek=seek):
            members.append(member)
    except ShardError as error:
        return members, error
    return members, None


def read_whole(data: bytes) -> list[TarMember]:
    members, error = drain(data)
    assert error is None
    return members


def with_checksum(block: bytes) -> bytes:
    blank = block[:148] + b" " * 8 + block[156:]
    return block[:148] + b"%06o\0 " % sum(blank) + block[156:]


def patched(block: bytes, at: int, field: bytes) -> bytes:
    return with_checksum(block[:at] + field + block[at + len(field) :])


NAMES = ["a.jpg", "deep/er/b.TXT", "ünï/ç.json", "p" * 90 + "/" + "q" * 60 + ".jpg"]
LONG_NAMES = ["x" * 150 + ".jpg", "/".join(["folder"] * 60) + "/y.jpg", "größe" * 40 + ".png"]


@pytest.mark.parametrize("tar_format", FORMATS)
def test_members_agree_with_the_standard_library(tar_format: str) -> None:
    names = NAMES if tar_format == "ustar" else NAMES + LONG_NAMES
    contents = [(name, bytes([i]) * (i * 300)) for i, name in enumerate(names)]
    data = tar_of(contents, FORMATS[tar_format])
    members = read_whole(data)
    assert [(member.name, member.data) for member in members] == contents
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        assert [(m.offset, m.size) for m in members] == [(info.offset, info.size) for info in tar]


def test_links_are_told_and_other_members_without_data_passed_over() -> None:
    members: list[tuple[str | tarfile.TarInfo, bytes]] = [("a.jpg", b"1")]
    for kind in (tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE):
        info = tarfile.TarInfo(f"other-{kind.decode()}.jpg")
        info.type = kind
        info.linkname = "l" * 200
        members.append((info, b""))
    members.append(("b.jpg", b"2"))
    for tar_format in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        found = read_whole(tar_of(members, tar_format))
        assert [member.name for member in found] == ["a.jpg", "other-2.jpg", "other-1.jpg", "b.jpg"]
        assert [(member.link, member.data) for member in found[1:3]] == [(True, None)] * 2


def test_a_member_of_unknown_type_is_passed_over_with_its_data() -> None:
    data = tar_of([("a.jpg", b"x" * 700), ("b.jpg", b"2")])
    assert [m.name for m in read_whole(patched(data[:BLOCK_BYTES], 156, b"Z") + data[BLOCK_BYTES:])] == ["b.jpg"]


def test_v7_headers_are_read() -> None:
    def v7(name: bytes, size: int) -> bytes:
        block = name.ljust(100, b"\0") + b"000644 \0" + b"0" * 16 + b"%11o " % size + b"%11o " % 0
        # Undefined bytes where ustar has its prefix must not become part of the name.
        return with_checksum(block.ljust(345, b"\0") + b"junk".ljust(BLOCK_BYTES - 345, b"\0"))

    data = v7(b"folder/", 0) + v7(b"folder/a.jpg", 3) + b"abc".ljust(BLOCK_BYTES, b"\0") + bytes(1024)
    assert [(member.name, member.data) for member in read_whole(data)] == [("folder/a.jpg", b"abc")]


def test_gnu_timestamps_are_no_name_prefix() -> None:
    data = tar_of([("a.jpg", b"abc")], tarfile.GNU_FORMAT)
    assert read_whole(patched(data[:BLOCK_BYTES], 345, b"14371052374\0") + data[BLOCK_BYTES:])[0].name == "a.jpg"


def test_base_256_and_signed_checksums_are_read() -> None:
    data = tar_of([("ä.jpg", b"abc")], tarfile.GNU_FORMAT)
    block = patched(data[:BLOCK_BYTES], 124, b"\x80" + (3).to_bytes(11, "big"))
    assert read_whole(block + data[BLOCK_BYTES:])[0].data == b"abc"
    blank = block[:148] + b" " * 8 + block[156:]
    signed = sum(byte - 256 if byte > 127 else byte for byte in blank)
    assert signed != sum(blank)
    block = block[:148] + b"%06o\0 " % signed + block[156:]
    assert read_whole(block + data[BLOCK_BYTES:])[0].data == b"abc"


def test_pax_size_and_path_override_the_header() -> None:
    info = tarfile.TarInfo("short.jpg")
    info.pax_headers = {"path": "other/name.jpg", "size": "5", "comment": "héllo"}
    data = tar_of([(info, b"abcde")], tarfile.PAX_FORMAT)
    at = data.index(b"ustar", data.index(b"ustar") + 5) - 257
    header = patched(data[at : at + BLOCK_BYTES], 124, b"00000000000\0")
    members = read_whole(data[:at] + header + data[at + BLOCK_BYTES :])
    assert [(m.name, m.size, m.data, m.offset) for m in members] == [("other/name.jpg", 5, b"abcde", 0)]


def test_a_global_pax_header_alone_is_no_error() -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT, pax_headers={"comment": "0123abc"}) as tar:
        tar.addfile(tarfile.TarInfo("a.jpg"), io.BytesIO(b""))
    with tarfile.open(fileobj=io.BytesIO(out.getvalue())) as tar:
        assert [m.offset for m in read_whole(out.getvalue())] == [info.offset for info in tar]


def test_names_that_are_not_utf8_become_printable() -> None:
    info = tarfile.TarInfo("caf\udce9.jpg")
    for tar_format in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT):
        assert read_whole(tar_of([(info, b"x")], tar_format))[0].name == "caf\\xe9.jpg"


def test_the_empty_file_and_zeros() -> None:
    assert drain(b"")[1].code is ShardCode.EMPTY_FILE  # type: ignore[union-attr]
    for n_bytes in (1024, 1025, 10240, 3 << 20):
        assert read_whole(bytes(n_bytes)) == []
    for n_bytes in (1, 511, 512, 1023):
        assert drain(bytes(n_bytes))[1].code is ShardCode.TRUNCATED  # type: ignore[union-attr]


TAR = tar_of([("a.jpg", b"a" * 700), ("b.jpg", b"b" * 1024), ("c.jpg", b"")])
SECOND = 3 * BLOCK_BYTES
END = 3 * BLOCK_BYTES + 3 * BLOCK_BYTES + BLOCK_BYTES


@pytest.mark.parametrize(
    ("data", "names", "code", "offset"),
    [
        (TAR[:SECOND] + b"\xa5" * 512 + TAR[SECOND + 512 :], ["a.jpg"], ShardCode.CORRUPT_HEADER, SECOND),
        (TAR[:SECOND] + bytes(512) + TAR[SECOND + 512 :], ["a.jpg"], ShardCode.CORRUPT_HEADER, SECOND),
        (TAR[: SECOND + 1] + b"!" + TAR[SECOND + 2 :], ["a.jpg"], ShardCode.CORRUPT_HEADER, SECOND),
        (TAR[:END] + b"garbage" + TAR[END + 7 :], ["a.jpg", "b.jpg", "c.jpg"], ShardCode.CORRUPT_HEADER, END),
        (TAR + b"garbage", ["a.jpg", "b.jpg", "c.jpg"], ShardCode.TRAILING_DATA, len(TAR)),
        (TAR + TAR, ["a.jpg", "b.jpg", "c.jpg"], ShardCode.TRAILING_DATA, len(TAR)),
        (TAR[:END] + bytes(3000) + b"\1", ["a.jpg", "b.jpg", "c.jpg"], ShardCode.TRAILING_DATA, END + 3000),
        (TAR[:END], ["a.jpg", "b.jpg", "c.jpg"], ShardCode.TRUNCATED, END),
        (TAR[: END + 512], ["a.jpg", "b.jpg", "c.jpg"], ShardCode.TRUNCATED, END + 512),
        (b"\xff\xd8" + b"jpeg" * 400, [], ShardCode.CORRUPT_HEADER, 0),
        (b"<html>404</html>".ljust(2000), [], ShardCode.CORRUPT_HEADER, 0),
    ],
    ids=range(11),
)
def test_damage_keeps_what_precedes_it_and_is_named(
    data: bytes, names: list[str], code: ShardCode, offset: int
) -> None:
    members, error = drain(data)
    assert [member.name for member in members] == names
    assert error is not None
    assert error.code is code
    assert f"byte {offset}" in str(error)


def test_gzip_data_under_a_plain_name_is_said() -> None:
    assert "gzip" in str(drain(b"\x1f\x8b\x08" + bytes(600))[1])


@pytest.mark.parametrize(
    ("records", "said"),
    [(b"99 path=a\n", "broken pax record"), (b"12 GNU.sparse.major=1\n", "pax"), (b"12 size=abc\n", "pax size")],
)
def test_broken_pax_records_are_a_corrupt_header(records: bytes, said: str) -> None:
    header = patched(tar_of([("x", records)])[:BLOCK_BYTES], 156, b"x")
    _, error = drain(header + records.ljust(BLOCK_BYTES, b"\0") + TAR)
    assert error is not None
    assert error.code is ShardCode.CORRUPT_HEADER
    assert said in str(error)


def test_sparse_members_are_refused_not_dropped() -> None:
    _, error = drain(patched(TAR[:BLOCK_BYTES], 156, b"S") + TAR[BLOCK_BYTES:])
    assert error is not None
    assert "sparse" in str(error)
    record = b"22 GNU.sparse.major=1\n"
    _, error = drain(patched(tar_of([("x", record)])[:BLOCK_BYTES], 156, b"x") + record.ljust(BLOCK_BYTES, b"\0") + TAR)
    assert error is not None
    assert "sparse" in str(error)


def test_extension_headers_without_a_member_or_without_bound_are_corrupt() -> None:
    long_name = tar_of([(LONG_NAMES[0], b"x")], tarfile.GNU_FORMAT)[: 2 * BLOCK_BYTES]
    assert drain(long_name + bytes(1024))[1].code is ShardCode.CORRUPT_HEADER  # type: ignore[union-attr]
    huge = patched(long_name[:BLOCK_BYTES], 124, b"%011o\0" % (MAX_EXTENSION_BYTES + 1))
    assert drain(huge + bytes(1024))[1].code is ShardCode.CORRUPT_HEADER  # type: ignore[union-attr]


@pytest.mark.parametrize("field", [b"0000000008 \0", b"-0000000001\0", b"\xff" * 12, b"0x1\0"])
def test_a_size_that_is_no_number_is_a_corrupt_header(field: bytes) -> None:
    assert drain(patched(TAR[:BLOCK_BYTES], 124, field) + TAR[BLOCK_BYTES:])[1].code is ShardCode.CORRUPT_HEADER  # type: ignore[union-attr]


@pytest.mark.parametrize("seek", [False, True])
def test_a_member_over_the_limit_is_flagged_and_the_rest_is_read(seek: bool) -> None:
    members, error = drain(TAR, limit=800, seek=seek)
    assert error is None
    assert [(m.name, m.too_large, m.data is None) for m in members] == [
        ("a.jpg", False, False),
        ("b.jpg", True, True),
        ("c.jpg", False, False),
    ]
    members, error = drain(TAR[: SECOND + 600], limit=800, seek=seek)
    assert (members[-1].truncated, members[-1].too_large, members[-1].data) == (True, True, None)
    assert error is not None
    assert error.code is ShardCode.TRUNCATED


def test_a_header_that_announces_an_absurd_size_neither_hangs_nor_allocates() -> None:
    block = patched(TAR[:BLOCK_BYTES], 124, b"\x80" + b"\x7f" * 11)
    members, error = drain(block + TAR[BLOCK_BYTES:])
    assert [m.truncated for m in members] == [True]
    assert error is not None
    assert error.code is ShardCode.TRUNCATED


@pytest.mark.parametrize("tar_format", FORMATS)
@pytest.mark.parametrize("seek", [False, True])
def test_a_tar_cut_at_any_byte_keeps_its_whole_members(tar_format: str, seek: bool) -> None:
    names = ["a.jpg", "z.txt", *(LONG_NAMES[:1] if tar_format != "ustar" else []), "b.jpg"]
    data = tar_of([(name, name.encode() * 60) for name in names], FORMATS[tar_format])
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        infos = list(tar)
    end = infos[-1].offset_data + infos[-1].size + -infos[-1].size % BLOCK_BYTES + 2 * BLOCK_BYTES
    for cut in range(min(end + 3, len(data))):
        members, error = drain(data[:cut], seek=seek)
        assert [m.name for m in members] == [info.name for info in infos if info.offset_data <= cut]
        assert [m.data is not None for m in members] == [
            info.offset_data + info.size <= cut for info in infos if info.offset_data <= cut
        ]
        assert [m.truncated for m in members] == [m.data is None for m in members]
        code = None if cut >= end else ShardCode.TRUNCATED if cut else ShardCode.EMPTY_FILE
        assert (error.code if error else None) is code


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_no_bytes_raise_anything_but_shard_error(data: st.DataObject) -> None:
    damaged = bytearray(TAR[: data.draw(st.integers(0, END + 1024))])
    for _ in range(data.draw(st.integers(0, 4))):
        if damaged:
            at = data.draw(st.integers(0, len(damaged) - 1))
            damaged[at : at + 1] = data.draw(st.binary(min_size=1, max_size=30))
    block = data.draw(st.booleans())
    if block and len(damaged) >= BLOCK_BYTES:
        damaged[:BLOCK_BYTES] = with_checksum(bytes(damaged[:BLOCK_BYTES]))
    drain(bytes(damaged), limit=800)


class _Breaking(io.BytesIO):
    """Gives at most 7 bytes a read, and raises at its end."""

    def __init__(self, data: bytes, error: Exception) -> None:
        super().__init__(data)
        self._error = error

    def read(self, size: int | None = -1) -> bytes:
        part = super().read(min(7, size if size is not None and size >= 0 else 7))
        if not part:
            raise self._error
        return part


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (OSError(5, "Input/output error"), ShardCode.UNREADABLE),
        (RuntimeError("a backend's own error"), ShardCode.UNREADABLE),
        (ShardError(ShardCode.BAD_COMPRESSION, "invalid block"), ShardCode.BAD_COMPRESSION),
        (ShardError(ShardCode.CHANGED, "another version"), ShardCode.CHANGED),
    ],
)
def test_a_stream_that_raises_becomes_a_shard_error(error: Exception, code: ShardCode) -> None:
    members, raised_error = drain_stream(_Breaking(TAR[: SECOND + 600], error))
    assert raised_error is not None
    assert raised_error.code is code
    assert f"byte {SECOND + 600}" in str(raised_error)
    assert str(error) in str(raised_error)
    assert [(m.name, m.truncated) for m in members] == [("a.jpg", False), ("b.jpg", True)]
    members, raised_error = drain_stream(_Breaking(TAR, error))
    assert len(members) == 3
    assert raised_error is not None
    assert raised_error.code is code


def test_shard_errors_survive_pickling() -> None:
    error = pickle.loads(pickle.dumps(ShardError(ShardCode.TRUNCATED, "the tar ends at byte 5")))
    assert (error.code, str(error)) == (ShardCode.TRUNCATED, "the tar ends at byte 5")
