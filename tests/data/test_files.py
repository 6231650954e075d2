"""Opening files: compressions, archives, encodings, and what is said about broken ones."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from lingport.data.files import Part, each_part, open_text, read_whole
from lingport.errors import DataError

TEXT = "žlta\nкот\u2028dom\r\n\n終"
LINES = [(1, "žlta"), (2, "кот\u2028dom"), (3, ""), (4, "終")]


def lines_of(path: Path, member: str | None = None) -> list[tuple[int, str]]:
    with open_text(path, member) as lines:
        return list(lines)


def write_tar(path: Path, members: dict[str, bytes], mode: Any) -> Path:
    with tarfile.open(path, mode) as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def write_zip(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


@pytest.mark.parametrize(
    ("ending", "compress"), [("", bytes), (".gz", gzip.compress), (".xz", lzma.compress), (".bz2", bz2.compress)]
)
def test_plain_and_compressed_files_give_the_same_lines(tmp_path, ending, compress):
    path = tmp_path / f"a.txt{ending}"
    path.write_bytes(compress(b"\xef\xbb\xbf" + TEXT.encode()))
    assert lines_of(path) == LINES
    assert Part(path).content_suffix == ".txt"


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz"])
def test_members_of_tar_archives(tmp_path, mode):
    path = tmp_path / ("a.tar" + mode[1:].replace(":", "."))
    write_tar(path, {"x/b.txt": TEXT.encode(), "x/._b.txt": b"\xff", "x/a.txt": b"one"}, mode)
    parts = list(each_part(path))
    assert [(part.member, read_whole(part)) for part in parts] == [
        ("x/b.txt", TEXT.replace("\r", "")),
        ("x/a.txt", "one"),
    ]
    assert lines_of(path, "a.txt") == [(1, "one")]
    with pytest.raises(DataError, match="set `member`"):
        lines_of(path)


def test_members_of_zip_archives_are_sorted_and_clutter_left_out(tmp_path):
    members = {"b.tsv.xz": lzma.compress(b"two"), "__MACOSX/._a.tsv": b"\x00", "a.tsv": b"one", ".DS_Store": b""}
    path = write_zip(tmp_path / "a.zip", members)
    parts = list(each_part(path))
    assert [str(part) for part in parts] == [f"{path}!a.tsv", f"{path}!b.tsv.xz"]
    assert [read_whole(part) for part in parts] == ["one", "two"]
    with pytest.raises(DataError, match=r"the archive holds: a\.tsv, b\.tsv\.xz"):
        list(each_part(path, member="*.csv"))


def test_member_is_refused_for_a_plain_file(tmp_path):
    with pytest.raises(DataError, match="no zip or tar archive"):
        list(each_part(tmp_path / "a.txt", member="*"))


def test_a_bad_byte_is_named_with_line_and_column(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes("dobre\nžl".encode() + b"\xe1 konec")
    with pytest.raises(DataError) as error:
        lines_of(path)
    assert error.value.where == f"{path}:2:3"
    assert "0xe1" in error.value.message
    path.write_bytes("dobre".encode("utf-16"))
    with pytest.raises(DataError, match="looks like UTF-16"):
        lines_of(path)


@pytest.mark.parametrize("name", ["a.txt.gz", "a.txt.xz", "a.txt.bz2", "a.zip", "a.tar.gz"])
@pytest.mark.parametrize("is_cut", [True, False])
def test_broken_compression_is_a_data_error(tmp_path, name, is_cut):
    whole = tmp_path / name
    content = TEXT.encode() * 200
    if name == "a.zip":
        write_zip(whole, {"a.txt": content})
    elif name == "a.tar.gz":
        write_tar(whole, {"a.txt": content}, "w:gz")
    else:
        whole.write_bytes({"gz": gzip, "xz": lzma, "bz2": bz2}[name[-3:].strip(".t")].compress(content))
    whole.write_bytes(whole.read_bytes()[:60] if is_cut else b"this is not compressed at all")
    with pytest.raises(DataError, match=r"broken or cut short|cannot read"):
        lines_of(whole)


def test_a_missing_file_is_a_data_error(tmp_path):
    with pytest.raises(DataError, match="No such file"):
        lines_of(tmp_path / "nothing.txt")
