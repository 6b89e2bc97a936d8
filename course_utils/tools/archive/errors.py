"""The one error of this package, and the limits within which it works."""

from __future__ import annotations

from course_utils.core.errors import CourseError

MIB = 2**20
DIRECTORY_BYTES = 4 * MIB  # the list of entries at the end of a zip; torch needs about 100 bytes an entry
ENTRIES = 50_000
ENTRY_BYTES = 32 * MIB  # one pickle, one source file or one extra file, unpacked
UNPACKED_BYTES = 128 * MIB  # everything that is compressed, unpacked, together
OPCODES = 1_000_000  # of one pickle
CODE_BYTES = 8 * MIB  # of source text


class ArchiveError(CourseError, ValueError):
    """A file that cannot be reported on. The message says what it is instead, and ends with what to do."""
