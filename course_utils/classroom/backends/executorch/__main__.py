"""``python -m course_utils.classroom.backends.executorch``: install ExecuTorch; `make executorch` calls it."""

from __future__ import annotations

import sys

from course_utils.classroom.backends import executorch


def main() -> int:
    """Returns the exit code: 0 done, 1 stopped with a reason."""
    try:
        executorch.install()
    except executorch.ExecuTorchError as error:
        print(f"executorch: {error}", file=sys.stderr)
        return 1
    print("ExecuTorch is ready. Lesson 11 runs it from now on.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
