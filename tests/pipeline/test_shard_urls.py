"""From what a user types to one URL per shard."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.shard_urls import PlanError, expand_urls


@pytest.fixture
def corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("00001.tar", "00000.tar", "00003.tgz", "00002.tar.gz", "00000.json", "._00000.tar", "sub/00009.tar"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _names(urls: list[str], corpus: Path) -> list[str]:
    assert all(url.startswith(f"{corpus}/") for url in urls), "local paths come out absolute"
    return [url.removeprefix(f"{corpus}/") for url in urls]


@pytest.mark.parametrize(
    ("typed", "shards"),
    [
        ("00000.tar", ["00000.tar"]),
        ("{00000..00003}.tar", ["00000.tar", "00001.tar", "00002.tar", "00003.tar"]),
        ("{8..10}.tar", ["8.tar", "9.tar", "10.tar"]),
        ("{0..10}.tar", [f"{number}.tar" for number in range(11)]),
        ("{10..0}.tar", [f"{number}.tar" for number in range(10, -1, -1)]),
        ("{00..1}.tar", ["00.tar", "01.tar"]),
        ("{08..10}.tar", ["08.tar", "09.tar", "10.tar"]),
        ("{2..0}.tar", ["2.tar", "1.tar", "0.tar"]),
        ("{b,a}.tar", ["b.tar", "a.tar"]),
        ("{a,b}/{0..1}.tar", ["a/0.tar", "a/1.tar", "b/0.tar", "b/1.tar"]),
        ("{x}/{0..1}.tar", ["{x}/0.tar", "{x}/1.tar"]),
        ("*.tar", ["00000.tar", "00001.tar"]),
        ("0000[13].t*", ["00001.tar", "00003.tgz"]),
        (".", ["00000.tar", "00001.tar", "00002.tar.gz", "00003.tgz"]),
        ("sub/", ["sub/00009.tar"]),
        ("sub/../00001.tar", ["00001.tar"]),
    ],
)
def test_expands(corpus: Path, typed: str, shards: list[str]) -> None:
    if typed == ".":
        shards = sorted(shards)
    assert _names(expand_urls([typed]), corpus) == shards


def test_a_folder_s_tars_may_be_written_in_capitals(corpus: Path) -> None:
    (corpus / "sub" / "00010.TAR").touch()
    (corpus / "sub" / "00011.Tar.GZ").touch()
    assert _names(expand_urls(["sub"]), corpus) == ["sub/00009.tar", "sub/00010.TAR", "sub/00011.Tar.GZ"]


def test_a_folder_stands_for_its_tars_and_parquet_files_else_for_itself(corpus: Path) -> None:
    for name in ("mixed/b.parquet", "mixed/a.tar.zst", "mixed/look.png", "photos/x.jpg", "photos/deep/y.jpg"):
        (corpus / name).parent.mkdir(parents=True, exist_ok=True)
        (corpus / name).touch()
    assert _names(expand_urls(["mixed", "photos/"]), corpus) == ["mixed/a.tar.zst", "mixed/b.parquet", "photos"]


def test_folders_that_a_glob_matches_stand_for_what_they_hold(corpus: Path) -> None:
    for name in ("parts/p1/b.tar", "parts/p1/a.tar", "parts/p2/x.jpg", "parts/z.tar"):
        (corpus / name).parent.mkdir(parents=True, exist_ok=True)
        (corpus / name).touch()
    assert _names(expand_urls(["parts/*"]), corpus) == ["parts/p1/a.tar", "parts/p1/b.tar", "parts/p2", "parts/z.tar"]


def test_side_cars_are_no_shards_however_they_are_named(corpus: Path) -> None:
    (corpus / "i2d").mkdir()
    names = [f"{number:05d}{ending}" for number in range(2) for ending in (".parquet", ".tar", "_stats.json")]
    for name in names:
        (corpus / "i2d" / name).touch()
    tars = ["i2d/00000.tar", "i2d/00001.tar"]
    for typed in (["i2d"], ["i2d/*"], [f"i2d/{name}" for name in names], ["i2d/{00000,00001}.{tar,parquet}"]):
        assert _names(expand_urls(typed), corpus) == tars
    assert _names(expand_urls(["i2d/*.parquet"]), corpus) == ["i2d/00000.parquet", "i2d/00001.parquet"]


def test_images_given_one_by_one_are_refused_with_the_way_out(corpus: Path) -> None:
    (corpus / "photos").mkdir()
    (corpus / "photos" / "a.JPG").touch()
    with pytest.raises(PlanError, match=r"no shards: .*/photos/a\.JPG; .* give the folder"):
        expand_urls(["photos/*"])
    (corpus / "folder.png").mkdir()
    assert _names(expand_urls(["folder.png"]), corpus) == ["folder.png"]


def test_a_folder_that_is_there_is_taken_literally(corpus: Path) -> None:
    (corpus / "set{a,b}").mkdir()
    (corpus / "set{a,b}" / "00001.tar").touch()
    assert _names(expand_urls(["set{a,b}"]), corpus) == ["set{a,b}/00001.tar"]


def test_keeps_the_order_of_the_urls(corpus: Path) -> None:
    urls = expand_urls(["sub", "00001.tar", f"file://{corpus}/00000.tar", "s3://bucket/{1..2}.tar"])
    assert urls[3:] == ["s3://bucket/1.tar", "s3://bucket/2.tar"]
    assert _names(urls[:3], corpus) == ["sub/00009.tar", "00001.tar", "00000.tar"]


def test_a_file_that_is_there_is_taken_literally(corpus: Path) -> None:
    for name in ("{0,1}.tar", "a[1].tar"):
        (corpus / name).touch()
        assert _names(expand_urls([name]), corpus) == [name]


@pytest.mark.parametrize("url", ["https://host/a.tar?token=x[1]", "https://host/download?id=7", "gs://b/a.tar"])
def test_leaves_plain_urls_alone(url: str) -> None:
    assert expand_urls([url]) == [url]


@pytest.mark.parametrize(
    "typed", ["{0..99999999}", "{1..1000}/{1..1000}-{a,b}", f"{{0..{10**17}}}", "{10000000..1}.tar"]
)
def test_a_range_with_a_digit_too_many_is_refused_at_once(typed: str) -> None:
    with pytest.raises(PlanError, match=r"stands for [\d,]+ shards, over the limit of 1,000,000"):
        expand_urls([f"s3://b/{typed}"])


def test_a_path_that_is_there_stands_for_itself_however_many_its_braces_would(tmp_path: Path) -> None:
    path = tmp_path / "{0..9999999}.tar"
    path.touch()
    assert expand_urls([str(path)]) == [str(path)]


def test_ranges_of_several_urls_add_up() -> None:
    with pytest.raises(PlanError, match=r"stands for 600,000 shards, 1,200,000 with those before it, over the limit"):
        expand_urls(["s3://b/{000000..599999}.tar", "s3://c/{000000..599999}.tar"])
    assert len(expand_urls(["s3://b/{0..9}.tar", "s3://b/{10..19}.tar"])) == 20


def test_what_a_folder_of_shards_holds_besides_is_told(corpus: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("set/0.tar", "set/0.parquet", "set/0_stats.json", "set/README.md", "set/.cache/9.tar"):
        (corpus / name).parent.mkdir(parents=True, exist_ok=True)
        (corpus / name).touch()
    assert _names(expand_urls(["set"]), corpus) == ["set/0.tar"]
    assert caplog.text == ""
    for name in ("set/deep/1.tar", "set/look.jpg", "set/look.PNG"):
        (corpus / name).parent.mkdir(exist_ok=True)
        (corpus / name).touch()
    assert _names(expand_urls(["set"]), corpus) == ["set/0.tar"]
    assert "not read: 2 images and 1 folders (deep, look.PNG, look.jpg)" in caplog.text


def test_refuses_a_shard_given_twice(corpus: Path) -> None:
    with pytest.raises(PlanError, match=r"shard .*/00001\.tar is given twice"):
        expand_urls(["{00000..00001}.tar", "sub/../00001.tar"])


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("nothing-*.tar", r"no file matches .*/nothing-\*\.tar"),
        ("00000.json", r"no shards: .*/00000\.json; shards are tars, Parquet files and folders of images"),
        ("memory://a.tar", "memory:// lives in one process"),
    ],
)
def test_refuses_what_stands_for_no_shard(corpus: Path, typed: str, message: str) -> None:
    with pytest.raises(PlanError, match=message):
        expand_urls([typed])


@given(first=st.integers(0, 50), count=st.integers(1, 30), width=st.integers(0, 6))
def test_ranges_count_as_a_shell_does(first: int, count: int, width: int) -> None:
    low, high = str(first).zfill(width), str(first + count - 1).zfill(width)
    begins_with_zeros = any(number != str(int(number)) for number in (low, high))
    padded = max(len(low), len(high)) if begins_with_zeros else 0
    expected = [f"s3://b/{str(number).zfill(padded)}.tar" for number in range(first, first + count)]
    assert expand_urls([f"s3://b/{{{low}..{high}}}.tar"]) == expected
