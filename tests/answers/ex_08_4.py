"""Answers to 08.4: the text of a gate."""

from pathlib import Path

from tests.answers import right, wrong

HEAD = """
import pytest
import torch
from network import build


def images(n):
    return torch.rand(n, 1, 8, 8, generator=torch.Generator().manual_seed(n))

"""


def gate(body):
    return HEAD + body


@wrong("the one that is traced in train mode")
def only_loads():
    return gate("""
def test_loads():
    torch.jit.load("model.pt")
""")


@wrong("wrong for more than one image")
def one_image():
    return gate("""
def test_one():
    expected = build().eval()(images(1))
    archive = torch.jit.load("model.pt")
    for _ in range(2):
        torch.testing.assert_close(archive(images(1)), expected, check_stride=False)
""")


@wrong("wrong from the second call on")
def one_call():
    return gate("""
def test_once():
    torch.testing.assert_close(torch.jit.load("model.pt")(images(4)), build().eval()(images(4)))
""")


@wrong("returning float64")
def dtype_let_pass():
    return gate("""
def test_allclose():
    archive, eager = torch.jit.load("model.pt"), build().eval()
    for _ in range(2):
        assert ((archive(images(4)) - eager(images(4))).abs() < 1e-4).all()
""")


@wrong("A good archive (scripted) is rejected")
def eager_in_train_mode():
    return gate("""
def test_same():
    torch.testing.assert_close(torch.jit.load("model.pt")(images(4)), build()(images(4)))
""")


@wrong("A good archive (frozen) is rejected")
def to_the_last_bit():
    return gate("""
def test_same():
    archive, eager = torch.jit.load("model.pt"), build().eval()
    for n in (1, 4, 32):
        assert torch.equal(archive(images(n)), eager(images(n)))
""")


@wrong("the one that is missing")
def skips_without_a_file():
    return gate("""
from pathlib import Path


@pytest.mark.skipif(not Path("model.pt").exists(), reason="no archive here")
@pytest.mark.parametrize("n", [1, 4])
def test_same(n):
    archive, eager = torch.jit.load("model.pt"), build().eval()
    for _ in range(2):
        torch.testing.assert_close(archive(images(n)), eager(images(n)))
""")


@wrong("made from weights that were a little different")
def much_too_loose():
    return gate("""
@pytest.mark.parametrize("n", [1, 4])
def test_same(n):
    archive, eager = torch.jit.load("model.pt"), build().eval()
    for _ in range(2):
        torch.testing.assert_close(archive(images(n)), eager(images(n)), rtol=0.05, atol=0.1)
""")


@wrong("wrong for a single image")
def several_images_only():
    return gate("""
@pytest.mark.parametrize("n", [2, 7])
def test_same(n):
    archive, eager = torch.jit.load("model.pt"), build().eval()
    for _ in range(2):
        torch.testing.assert_close(archive(images(n)), eager(images(n)))
""")


@wrong("made from weights that were off by 0.02 %")
def a_tolerance_that_grows_as_the_outputs_shrink():
    return gate("""
@pytest.mark.parametrize("n", [1, 4])
def test_same(n):
    archive, eager = torch.jit.load("model.pt"), build().eval()
    for _ in range(2):
        expected = eager(images(n))
        torch.testing.assert_close(archive(images(n)), expected, rtol=0, atol=1e-5 / expected.abs().max().item())
""")


@wrong("pytest finds no test")
def no_test():
    return gate("""
def check_same():
    pass
""")


@wrong("`gate` is not a Python file")
def not_closed():
    return gate("""
def test_same(:
    pass
""")


@wrong("`gate` is not a string")
def a_function():
    def test_same():
        pass

    return test_same


@right
def by_unittest():
    return """
import unittest
import torch
from network import build


class Same(unittest.TestCase):
    def test_same(self):
        eager, archive = build().eval(), torch.jit.load("model.pt")
        for n in (1, 3):
            for call in range(2):
                with self.subTest(n=n, call=call), torch.no_grad():
                    x = torch.rand(n, 1, 8, 8)
                    torch.testing.assert_close(archive(x), eager(x))
"""


@right
def by_the_parity_check_of_the_course():
    return """
import torch
from course_utils.tools.parity import assert_parity, batch_sizes
from network import build


def test_same():
    eager, archive = build().eval(), torch.jit.load("model.pt")
    assert_parity(eager, archive, batch_sizes(torch.rand(2, 1, 8, 8)), modes=("as_is",))
"""


@right
def the_one_of_the_lesson():
    return Path(__file__).parents[2].joinpath("docs", "test_archive.py").read_text(encoding="utf-8")
