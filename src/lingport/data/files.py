"""Opens data files: plain, compressed, or members of an archive, as strictly decoded lines.

Knows nothing about what the lines mean. A position is `file:line:column`, both counted from 1; a member of
an archive is written `archive!member`.
"""

from __future__ import annotations

import bz2
import difflib
import fnmatch
import gzip
import io
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, cast

from lingport.errors import DataError

OPENERS = {".gz": gzip.open, ".xz": lzma.open, ".bz2": bz2.open}
TAR_ENDINGS = (".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.bz2", ".tbz2")
BROKEN = (
    lzma.LZMAError,
    gzip.BadGzipFile,
    zlib.error,
    zipfile.BadZipFile,
    tarfile.TarError,
    EOFError,
    NotImplementedError,
)
MAC_FOLDER = "__MACOSX"
NUM_LISTED = 8  # members named in a message; of a larger archive only the nearest


@dataclass(frozen=True)
class Part:
    """One file to read: a file on disk, or a member of an archive.

    Attributes:
        path: The file on disk.
        member: The name inside the archive; None for a file that is no archive.
        content: The member's bytes, where they had to be read already (tar).
    """

    path: Path
    member: str | None = None
    content: bytes | None = field(default=None, repr=False)

    def __str__(self) -> str:
        """The place as it is written in messages."""
        return f"{self.path}!{self.member}" if self.member else str(self.path)

    @property
    def content_suffix(self) -> str:
        """The lower-case ending that names the content, compression left off (`.tsv` of `a.tsv.xz`)."""
        suffixes = [suffix.lower() for suffix in PurePosixPath(self.member or self.path.name).suffixes]
        if suffixes and suffixes[-1] in OPENERS:
            suffixes.pop()
        return suffixes[-1] if suffixes else ""


def is_archive(path: Path) -> bool:
    """Returns whether a file's name says that it is a zip or tar archive."""
    name = path.name.lower()
    return name.endswith((".zip", *TAR_ENDINGS))


def each_part(path: Path, *, member: str | None = None) -> Iterator[Part]:
    """Yields the parts behind a path: itself, or the members of the archive that match `member`.

    Members of a zip come sorted by name, those of a tar in its own order, because a compressed tar can only be
    read from the front: one pass over it, with one member at a time in memory. Members that macOS put there
    (`__MACOSX/`, `._name`, `.DS_Store`) never count. A pattern matches the whole member name or its last
    component.

    Raises:
        DataError: No member matches, `member` is given for a file that is no archive, or it cannot be read.
    """
    if not is_archive(path):
        if member is not None:
            raise DataError(
                f"`member` is given ({member!r}), but this is no zip or tar archive",
                where=str(path),
                hint="leave `member` out",
            )
        yield Part(path)
        return
    names: list[str] = []
    num_matches = 0
    for part in _zip_parts(path) if path.suffix.lower() == ".zip" else _tar_parts(path, member):
        name = part.member or ""
        if _is_clutter(name):
            continue
        names.append(name)
        if member is None or _matches(name, member):
            num_matches += 1
            yield part
    if not num_matches:
        close = difflib.get_close_matches(member or "", names, n=3) if len(names) > NUM_LISTED else []
        nearest_names = close or names[:NUM_LISTED]
        others = len(names) - len(nearest_names)
        listed = ", ".join(nearest_names) + (f" and {others} more" if others else "")
        raise DataError(
            f"no member of the archive matches {member!r}" if names else "the archive holds no files",
            where=str(path),
            hint=f"the archive holds: {listed}" if names else None,
        )


def _zip_parts(path: Path) -> Iterator[Part]:
    with _broken_is_data_error(str(path)), zipfile.ZipFile(path) as archive:
        names = sorted(info.filename for info in archive.infolist() if not info.is_dir())
    yield from (Part(path, name) for name in names)


def _tar_parts(path: Path, member: str | None) -> Iterator[Part]:
    with _broken_is_data_error(str(path)), tarfile.open(path, "r|*") as archive:
        for info in archive:
            if not info.isfile():
                continue
            is_wanted = not _is_clutter(info.name) and (member is None or _matches(info.name, member))
            stream = archive.extractfile(info) if is_wanted else None
            yield Part(path, info.name, stream.read() if stream else None)


def _is_clutter(name: str) -> bool:
    pieces = PurePosixPath(name).parts
    return MAC_FOLDER in pieces or pieces[-1].startswith("._") or pieces[-1] == ".DS_Store"


def _matches(name: str, pattern: str) -> bool:
    return fnmatch.fnmatchcase(name, pattern) or fnmatch.fnmatchcase(PurePosixPath(name).name, pattern)


@contextmanager
def _broken_is_data_error(where: str) -> Generator[None]:
    try:
        yield
    except BROKEN as error:
        reason = str(error) or type(error).__name__
        raise DataError(
            f"the compressed file is broken or cut short ({reason})", where=where, hint="fetch the file again"
        ) from error
    except OSError as error:
        raise DataError(f"cannot read the file ({error.strerror or error})", where=where) from error


@contextmanager
def open_bytes(part: Part) -> Generator[IO[bytes]]:
    """Yields the uncompressed bytes of a part as a stream.

    Raises:
        DataError: The file cannot be opened.
    """
    with ExitStack() as stack:
        with _broken_is_data_error(str(part)):
            if part.content is not None:
                stream = cast(IO[bytes], io.BytesIO(part.content))
            elif part.member is None:
                stream = cast(IO[bytes], stack.enter_context(part.path.open("rb")))
            else:
                archive = stack.enter_context(zipfile.ZipFile(part.path))
                if archive.getinfo(part.member).flag_bits & 1:
                    raise DataError("the member is encrypted", where=str(part), hint="unpack it with its password")
                stream = stack.enter_context(archive.open(part.member))
            opener = OPENERS.get(PurePosixPath(part.member or part.path.name).suffix.lower())
            if opener:
                stream = stack.enter_context(cast(IO[bytes], opener(stream, "rb")))
        yield stream


@contextmanager
def open_text(path: Path | Part, member: str | None = None) -> Generator[Iterator[tuple[int, str]]]:
    """Yields an iterator over (line number from 1, line without its end) of a UTF-8 file.

    Lines end at LF or CRLF only, so that separators inside a text (U+2028 and its like) stay. A byte order
    mark at the start is dropped.

    Args:
        path: A file, or a part of one.
        member: For a path to an archive: the one member to read.

    Raises:
        DataError: A byte is not UTF-8 (with line and column), the file cannot be read, or the archive holds
            more than one such member.
    """
    part = path if isinstance(path, Part) else _only_part(path, member)
    with open_bytes(part) as stream:
        yield _decode_lines(stream, where=str(part))


def _only_part(path: Path, member: str | None) -> Part:
    parts = each_part(path, member=member)
    first = next(parts)
    second = next(parts, None)
    if second is not None:
        hint = f"it holds {first.member}, {second.member} and perhaps more: set `member` to one of them"
        raise DataError("one member of the archive is needed", where=str(path), hint=hint)
    return first


def _decode_lines(stream: IO[bytes], *, where: str) -> Iterator[tuple[int, str]]:
    with _broken_is_data_error(where):
        for number, raw in enumerate(stream, start=1):
            if number == 1:
                raw = raw.removeprefix(b"\xef\xbb\xbf")
            line = raw.removesuffix(b"\n").removesuffix(b"\r")
            try:
                text = line.decode("utf-8")
            except UnicodeDecodeError as error:
                raise _bad_byte(line, error, where=where, number=number) from error
            yield number, text


def _bad_byte(line: bytes, error: UnicodeDecodeError, *, where: str, number: int) -> DataError:
    column = len(line[: error.start].decode("utf-8")) + 1
    utf16 = number == 1 and line[:2] in (b"\xff\xfe", b"\xfe\xff")
    return DataError(
        f"byte 0x{line[error.start]:02x} is not UTF-8 ({error.reason})",
        where=f"{where}:{number}:{column}",
        hint="this looks like UTF-16; save it as UTF-8" if utf16 else "save the file as UTF-8",
    )


def read_whole(part: Part) -> str:
    """Returns the whole text of a UTF-8 part, line ends as LF.

    Raises:
        DataError: As `open_text`.
    """
    with open_text(part) as lines:
        return "\n".join(line for _, line in lines)
