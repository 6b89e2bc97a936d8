"""Answers to 13.1: "load", "ask" or "refuse", from the file alone."""

import torch

from course_utils.tools import archive
from tests.answers import right, wrong


@wrong("an archive that acts on load, and is damaged")
def asks_first_and_looks_for_damage_later():
    def verdict(path):
        try:
            seen = archive.inspect(path)
        except archive.ArchiveError:
            return "refuse"
        if seen.runs_on_load:
            return "ask"
        return "refuse" if seen.damaged or not seen.kind.startswith("TorchScript") else "load"

    return verdict


@wrong("A different word was expected for the weights alone")
def any_whole_file_will_do():
    def verdict(path):
        try:
            seen = archive.inspect(path)
        except archive.ArchiveError:
            return "refuse"
        if seen.damaged:
            return "refuse"
        return "ask" if seen.runs_on_load else "load"

    return verdict


@wrong("Your function loads the file")
def tries_it_out():
    def verdict(path):
        try:
            torch.jit.load(path)
        except Exception:
            return "refuse"
        return "load"

    return verdict


@wrong("it returns something else")
def yes_or_no():
    return lambda path: True


@wrong("A different word was expected for an archive that writes a file")
def refuses_whatever_has_a_warning():
    def verdict(path):
        try:
            seen = archive.inspect(path)
        except archive.ArchiveError:
            return "refuse"
        return "load" if seen.ok and not seen.runs_on_load else "refuse"

    return verdict


@wrong("it was cut off", status="your code raised")
def trusts_that_there_is_something_to_read():
    def verdict(path):
        seen = archive.inspect(path)
        if seen.damaged or not seen.kind.startswith("TorchScript"):
            return "refuse"
        return "ask" if seen.runs_on_load else "load"

    return verdict


@right
def from_the_loader_that_the_report_names():
    def verdict(path):
        try:
            seen = archive.inspect(str(path))
        except ValueError:
            return "refuse"
        whole = "torch.jit.load" in seen.loader and not any(entry.problem for entry in seen.entries)
        if not whole:
            return "refuse"
        return "ask" if any(effect.when == "on load" for effect in seen.runs) else "load"

    return verdict


@right
def from_bytes():
    def verdict(path):
        try:
            seen = archive.inspect(path.read_bytes())
        except archive.ArchiveError:
            return "refuse"
        if len(seen.damaged) > 0 or "TorchScript" not in seen.kind:
            return "refuse"
        return ["load", "ask"][bool(seen.runs_on_load)]

    return verdict


@wrong("A different word was expected for a zip of texts")
def whatever_is_a_zip_and_whole():
    def verdict(path):
        if not path.read_bytes().startswith(b"PK"):
            return "refuse"
        try:
            seen = archive.inspect(path)
        except archive.ArchiveError as error:
            return "load" if "it is a zip" in str(error) else "refuse"
        if seen.damaged or not seen.kind.startswith("TorchScript"):
            return "refuse"
        return "ask" if seen.runs_on_load else "load"

    return verdict
