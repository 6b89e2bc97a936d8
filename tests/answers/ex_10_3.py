"""Answers to 10.3: file, line and source of the innermost step of the author's code."""

import re
from pathlib import Path, PureWindowsPath

from tests.answers import right, wrong

PLACE = re.compile(r'File "(.+)", line (\d+)')


def step(text, which):
    """(file, line, source) of one place in the text."""
    match = list(PLACE.finditer(text))[which]
    lines = text[match.end() :].splitlines()
    at = next(i for i, line in enumerate(lines) if "<--- HERE" in line)
    return re.split(r"[\\/]", match[1])[-1], int(match[2]), lines[at - 1].strip()


def original(message):
    return message.split("original code")[-1]


@wrong("the archive's own code")
def the_first_place_of_all():
    return lambda message: step(message, 0)


@wrong("the archive's own code")
def the_last_of_the_first_traceback():
    return lambda message: step(message.split("original code")[0], -1)


@wrong("That is the outermost step")
def the_first_place_of_the_original():
    return lambda message: step(original(message), 0)


@wrong("with folders of the author's machine")
def the_whole_path():
    def origin(message):
        match = list(PLACE.finditer(original(message)))[-1]
        return match[1], *step(original(message), -1)[1:]

    return origin


@wrong("with folders of the author's machine")
def folders_of_one_system():
    def origin(message):
        match = list(PLACE.finditer(original(message)))[-1]
        return match[1].split("/")[-1], *step(original(message), -1)[1:]

    return origin


@wrong("The number of the line is not an int")
def the_number_as_text():
    def origin(message):
        file, line, source = step(original(message), -1)
        return file, str(line), source

    return origin


@wrong("the text of the line is wrong")
def the_last_line_of_the_block():
    def origin(message):
        file, line, _ = step(original(message), -1)
        return file, line, message.strip().splitlines()[-3].strip()

    return origin


@wrong("the text of the line is wrong")
def with_its_spaces():
    def origin(message):
        file, line, _ = step(original(message), -1)
        lines = original(message).splitlines()
        at = [i for i, x in enumerate(lines) if "<--- HERE" in x][-1]
        return file, line, lines[at - 1]

    return origin


@wrong("does not return three things")
def the_source_only():
    return lambda message: step(original(message), -1)[2]


@right
def by_parts():
    return lambda message: step(original(message), -1)


@right
def line_by_line_from_the_end():
    def origin(message):
        lines = message.splitlines()
        mark = max(i for i, line in enumerate(lines) if line.rstrip().endswith("<--- HERE"))
        head = max(i for i in range(mark) if lines[i].lstrip().startswith('File "'))
        path, rest = lines[head].strip().removeprefix('File "').split('", line ')
        return PureWindowsPath(path).name, int(rest.split(",")[0]), lines[mark - 1].strip()

    return origin


@right
def as_a_list_by_path():
    def origin(message):
        file, line, source = step(original(message), -1)
        return [Path(file).name, line, source]

    return origin
