"""Where a converted model runs outside this Python: C++, AOTInductor, ExecuTorch; and the zoo of converted models."""

from __future__ import annotations

import tempfile
from pathlib import Path

from course_utils.classroom.manifest import course_root


def kept_folder(name: str) -> Path:
    """Where compiled programs are kept: ``build/NAME`` of the course, or where it is read-only, the user's cache."""
    own = course_root() / "build" / name
    try:
        own.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=own, prefix=".probe-"):
            return own
    except OSError:
        import platformdirs

        other = platformdirs.user_cache_path("torchscript-course") / name
        other.mkdir(parents=True, exist_ok=True)
        return other
