"""The zip around a model: its entries, read within limits and compared with their checksums. Nothing goes to disk.

torch reads the same zip and does not compare the checksums of stored entries, which is why this module does. A zip says
the same things twice, in front of an entry (or behind it) and in the list at the end, and Python's zipfile believes the
list; an entry that the list has lost or emptied leaves bytes that belong to no entry, so those are looked for as well.
Layout of a zip: APPNOTE.TXT of PKWARE, sections 4.3.7 (local header) and 4.3.9 (data descriptor).
"""

from __future__ import annotations

import io
import stat
import struct
import zipfile
import zlib
from collections import Counter
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, BinaryIO

from course_utils.core.report import cut
from course_utils.tools.archive import pickles
from course_utils.tools.archive.errors import DIRECTORY_BYTES, ENTRIES, ENTRY_BYTES, MIB, UNPACKED_BYTES, ArchiveError

# What zipfile raises for damaged files: its own errors, and those of the modules that it leaves to notice.
ZIP_ERRORS = (
    zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, struct.error, EOFError, NotImplementedError, RuntimeError,
    OSError, ValueError, OverflowError, IndexError, KeyError,
)  # fmt: skip

# Mark and version, flags, then (behind time, checksum and sizes) the lengths of the name and of the extra field.
_LOCAL_HEADER = struct.Struct("<6sH18xHH")
_DESCRIPTOR_FOLLOWS = 8
_LONGEST_DESCRIPTOR = 24


@dataclass(frozen=True)
class Entry:
    """One entry of the zip. size: bytes unpacked. stored: bytes in the file. problem: empty when all is well."""

    name: str
    size: int
    stored: int
    problem: str = ""


class _Guarded(io.RawIOBase):
    """A file that hands out no more than ``limit`` bytes in one piece.

    zipfile reads the list of entries in one piece of the size that the file claims.
    """

    def __init__(self, file: BinaryIO, limit: int) -> None:
        self.file, self.limit = file, limit

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        return self.file.seek(offset, whence)

    def tell(self) -> int:
        return self.file.tell()

    def read(self, size: int = -1) -> bytes:
        if size is None or size < 0:
            size = self.limit + 1
        if size > self.limit + 1:
            raise ArchiveError(
                f"the list of entries claims {size:,} bytes, and a model needs far fewer than {self.limit:,}; "
                "do not load this file"
            )
        return self.file.read(size)


class Container:
    """An open zip of torch. ``folder`` is the one folder at its top, which torch names after the saved file.

    file: an open binary file. Raises `ArchiveError` for what is not a readable zip. Close it, or use ``with``.
    """

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._size = size
        try:
            self._zip = zipfile.ZipFile(_Guarded(file, DIRECTORY_BYTES))
        except ArchiveError:
            raise
        except ZIP_ERRORS as error:
            raise ArchiveError(_no_zip(error)) from None
        self._infos = self._zip.infolist()
        if not self._infos:
            raise ArchiveError("the zip has no entries; save the model again")
        if len(self._infos) > ENTRIES:
            raise ArchiveError(
                f"the zip has {len(self._infos):,} entries, more than any model; do not load it, ask where it is from"
            )
        tops = Counter(x.filename.split("/", 1)[0] for x in self._infos if "/" in x.filename)
        # torch takes the folder of the first entry
        self.folder = next((x.filename.split("/", 1)[0] for x in self._infos if "/" in x.filename), "")
        if sum(x.compress_size for x in self._infos) > size:
            raise ArchiveError(
                "its entries overlap: together they claim more bytes than the file has, as a zip bomb does, or the "
                "list of entries is damaged; do not load it, get it again"
            )
        self.problems = self._names_problems(tops) + self._layout_problems(file)
        self._unpacked = 0
        self._by_name = {x.filename: x for x in reversed(self._infos)}

    def __enter__(self) -> Container:
        return self

    def __exit__(self, *_: object) -> None:
        self._zip.close()

    def has(self, name: str) -> bool:
        """Is there an entry of this name inside the top folder?"""
        return f"{self.folder}/{name}" in self._by_name

    def names(self) -> list[str]:
        """Names inside the top folder, in the order of the zip."""
        start = len(self.folder) + 1
        return [x[start:] for x in self._by_name if x.startswith(self.folder + "/")][::-1]

    def size(self, name: str) -> int:
        """Unpacked bytes of an entry that is there."""
        return self._by_name[f"{self.folder}/{name}"].file_size

    def read(self, name: str) -> bytes:
        """The bytes of an entry. Raises `ArchiveError` if missing, too large or damaged."""
        info = self._by_name.get(f"{self.folder}/{name}")
        if info is None:
            raise ArchiveError(f"there is no {name} in the archive; it is incomplete, get it again")
        if info.file_size > ENTRY_BYTES:
            raise ArchiveError(
                f"{name} has more than {ENTRY_BYTES // MIB} MiB, more than any model needs; do not load it"
            )
        self._within_limits(info)
        pieces: list[bytes] = []
        problem = self._pieces(info, pieces)
        if problem:
            raise ArchiveError(f"{name}: {problem}; get the file again")
        return b"".join(pieces)

    def describe(self, name: str, warnings: list[str]) -> Any:
        """The pickle of this name as a description; None, and a warning, where it cannot be read."""
        try:
            return pickles.describe(self.read(name), name)
        except ArchiveError as error:
            warnings.append(str(error))
            return None

    def text(self, name: str, warnings: list[str]) -> str:
        """The beginning of a small text entry, "" where there is none; a warning where it cannot be read."""
        try:
            return self.read(name)[:40].decode("ascii", "replace").strip() if self.has(name) else ""
        except ArchiveError as error:
            warnings.append(str(error))
            return ""

    def checked(self) -> list[Entry]:
        """Every entry, read to its end and compared with its checksum. Takes about a second per gigabyte."""
        return [Entry(x.filename, x.file_size, x.compress_size, self._problem(x)) for x in self._infos]

    def _problem(self, info: zipfile.ZipInfo) -> str:
        try:
            self._within_limits(info)
        except ArchiveError as error:
            return str(error)
        return self._pieces(info, None)

    def _within_limits(self, info: zipfile.ZipInfo) -> None:
        name = PurePosixPath(info.filename).name
        if info.compress_type == zipfile.ZIP_STORED:
            if info.file_size > self._size:
                raise ArchiveError(f"{name} claims more bytes than the file has; get the file again")
            return
        if info.file_size > ENTRY_BYTES:
            raise ArchiveError(
                f"{name} unpacks to more than {ENTRY_BYTES // MIB} MiB, as a zip bomb does; do not load this file"
            )
        self._unpacked += info.file_size
        if self._unpacked > 2 * UNPACKED_BYTES:  # each entry may be read twice: for its content, and for its checksum
            raise ArchiveError(
                f"its entries unpack to more than {UNPACKED_BYTES // MIB} MiB, as a zip bomb does; do not load it"
            )

    def _pieces(self, info: zipfile.ZipInfo, into: list[bytes] | None) -> str:
        """Read an entry piece by piece, and say what is wrong with it; the pieces go into a list if there is one."""
        if info.flag_bits & 1:
            return "it is encrypted, which torch never does"
        read = 0
        try:
            with self._zip.open(info) as file:
                while piece := file.read(MIB):
                    read += len(piece)
                    if read > info.file_size:
                        return "it unpacks to more bytes than it claims"
                    if into is not None:
                        into.append(piece)
        except zlib.error:
            return "its compressed bytes are damaged"
        except ZIP_ERRORS as error:
            return "its bytes do not fit its checksum" if "CRC" in str(error) else "it cannot be read: " + _brief(error)
        return "" if read == info.file_size else "it has fewer bytes than it claims"

    def _names_problems(self, tops: Counter[str]) -> list[str]:
        found = []
        for name, count in Counter(x.filename for x in self._infos).items():
            if count > 1:
                found.append(f"{count} entries are called {_shown(name)}; which one a program reads is not defined")
        for info in self._infos:
            path = PurePosixPath(info.filename.replace("\\", "/"))
            if path.is_absolute() or ".." in path.parts or (path.parts and path.parts[0].endswith(":")):
                found.append(f"entry {_shown(info.filename)} points outside the archive (zip slip); do not extract it")
            if stat.S_ISLNK(info.external_attr >> 16):
                found.append(f"entry {_shown(info.filename)} is a symbolic link; torch writes none, do not extract it")
        if len(tops) > 1:
            found.append(f"there are {len(tops)} folders at the top where torch writes one")
        return found

    def _layout_problems(self, file: BinaryIO) -> list[str]:
        """Do the entries, as the list describes them, fill the file from its start to the list without a gap?"""
        ordered = sorted(self._infos, key=lambda x: x.header_offset)
        ends = [x.header_offset for x in ordered[1:]] + [self._zip.start_dir]
        found = ["there are bytes before its first entry; torch writes none"] if ordered[0].header_offset else []
        for info, end in zip(ordered, ends, strict=True):
            header = b""
            if 0 <= info.header_offset < self._size:
                file.seek(info.header_offset)
                header = file.read(_LOCAL_HEADER.size)
            if len(header) < _LOCAL_HEADER.size or not header.startswith(b"PK\x03\x04"):
                found.append(f"{_shown(info.filename)} is not where the list says; get the file again")
                continue
            _, flags, name_bytes, extra_bytes = _LOCAL_HEADER.unpack(header)
            data_end = info.header_offset + len(header) + name_bytes + extra_bytes + info.compress_size
            behind = b""
            if 0 < end - data_end <= _LONGEST_DESCRIPTOR:
                file.seek(data_end)
                behind = file.read(end - data_end)
            if end != data_end and not (flags & _DESCRIPTOR_FOLLOWS and _describes(behind, info.CRC)):
                found.append(
                    f"the list of entries does not fit the bytes around {_shown(info.filename)}: something was cut, "
                    "emptied or hidden there; get the file again"
                )
        return found[:8]


def _describes(behind: bytes, checksum: int) -> bool:
    """Is this a data descriptor for that checksum? Its mark is optional, and its two sizes have 4 or 8 bytes each."""
    for mark in (b"PK\x07\x08", b""):
        if len(behind) - len(mark) in (12, 20) and behind.startswith(mark + checksum.to_bytes(4, "little")):
            return True
    return False


def _shown(name: str) -> str:
    return ascii(cut(name, 80))


def _brief(error: Exception) -> str:
    return ascii(f"{type(error).__name__}, {error}".splitlines()[0][:80])[1:-1]


def _no_zip(error: Exception) -> str:
    if isinstance(error, zipfile.BadZipFile) and "not a zip file" in str(error):
        return "it begins as a zip and its end is missing: it was cut off; copy or download it again"
    return f"its list of entries is damaged ({_brief(error)}); copy or download it again"
