"""``python -m course_utils.classroom.backends.executorch install`` and ``… record``."""

from __future__ import annotations

import sys

from course_utils.classroom.backends import executorch


def main(arguments: list[str]) -> int:
    """Returns the exit code: 0 done, 1 stopped with a reason, 2 an unknown verb."""
    try:
        match arguments:
            case ["install"]:
                executorch.install()
                print("ExecuTorch is ready. Lesson 11 runs it from now on.")
            case ["record"]:
                print(executorch.record())
            case _:
                print("Say `install` or `record`.", file=sys.stderr)
                return 2
    except executorch.EdgeError as error:
        print(f"executorch: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
