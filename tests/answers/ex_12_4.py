"""Answers to 12.4: convert an archive, compare, and return it or nothing."""

import torch
from torch._export.converter import TS2EPConverter

from course_utils import check_parity
from tests.answers import right, wrong


def converted(path, example):
    return TS2EPConverter(torch.jit.load(path), (example,)).convert()


@wrong("prim::Loop", status="your code raised")
def converted_and_believed():
    return lambda path, example, others: converted(path, example)


@wrong("For a counter in an int no program from the converter is correct")
def one_call_compared():
    def recover(path, example, others):
        try:
            program = converted(path, example)
        except Exception:
            return None
        for x in [example, *others]:
            try:
                if not torch.allclose(torch.jit.load(path)(x), program.module()(x), atol=1e-5):
                    return None
            except AssertionError:
                return None
            program = converted(path, example)
        return program

    return recover


@wrong("For a small network the converter returns a correct program")
def gives_up():
    return lambda path, example, others: None


@wrong("does not return an ExportedProgram")
def the_archive_itself():
    return lambda path, example, others: torch.jit.load(path)


@wrong("For a running total in a buffer the converter returns a correct program")
def compared_with_used_state():
    def recover(path, example, others):
        archive = torch.jit.load(path)
        archive(example)
        try:
            program = TS2EPConverter(torch.jit.load(path), (example,)).convert()
        except Exception:
            return None
        module = program.module()
        same = all(torch.allclose(archive(x), module(x), atol=1e-5) for x in [example, *others] for _ in range(3))
        return program if same else None

    return recover


@right
def by_migrating_first():
    def recover(path, example, others):
        from course_utils.tools.migration import migrate

        report = migrate(path, example, others=others, routes=["convert"])
        return converted(path, example) if report.ok else None

    return recover


@right
def by_hand():
    def recover(path, example, others):
        try:
            program = converted(path, example)
        except Exception:
            return None
        archive, module = torch.jit.load(path), converted(path, example).module()
        calls = [x for x in [example, *others] for _ in range(3)]
        try:
            return program if all(torch.allclose(archive(x), module(x), atol=1e-5) for x in calls) else None
        except AssertionError:  # a guard of the module: another size than the example's
            return None

    return recover


@right
def by_parity():
    def recover(path, example, others):
        try:
            program = converted(path, example)
        except Exception:
            return None
        ok = check_parity(torch.jit.load(path), program.module(), [example, *others], check_state=False).ok
        return program if ok else None

    return recover


@wrong("For a branch on the number of rows no program from the converter is correct")
def compared_on_the_example_alone():
    def recover(path, example, others):
        try:
            program = converted(path, example)
        except Exception:
            return None
        ok = check_parity(torch.jit.load(path), program.module(), [example], check_state=False).ok
        return program if ok else None

    return recover


@wrong("For a counter that no answer depends on the converter returns a correct program")
def compared_with_what_it_remembers():
    def recover(path, example, others):
        try:
            program = converted(path, example)
        except Exception:
            return None
        return program if check_parity(torch.jit.load(path), program.module(), [example, *others]).ok else None

    return recover


@wrong("was called already: its state has changed")
def returned_after_it_was_called():
    def recover(path, example, others):
        try:
            program = converted(path, example)
            archive, module = torch.jit.load(path), program.module()
            calls = [x for x in [example, *others] for _ in range(3)]
            same = all(torch.allclose(archive(x), module(x), atol=1e-5) for x in calls)
        except Exception:
            return None
        return program if same else None

    return recover
