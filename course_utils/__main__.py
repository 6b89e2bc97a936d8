"""``python -m course_utils`` is the ``course`` command, for shells where the command is not on the path."""

from course_utils.classroom.cli import main

if __name__ == "__main__":
    main()
