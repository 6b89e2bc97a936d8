"""The rules that mask what differs between two good runs: each changes what it is for, once, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nbval.plugin import get_sanitize_patterns

from course_utils.authoring.sanitize import read_rules, sanitize_text

CFG = Path(__file__).resolve().parent / "sanitize.cfg"
KERNEL = f"ipykernel_{4711}"  # put together here, so that no tracked file holds the path of a cell

STORED = [
    # Installed packages.
    ("/home/me/.venv/lib/python3.11/site-packages/torch/jit/_trace.py:1018: FutureWarning: x",
     "site-packages/torch/jit/_trace.py:1018: FutureWarning: x"),
    ("/home/my course/.venv/lib/python3.13/site-packages/torch/nn/modules/conv.py:5: UserWarning",
     "site-packages/torch/nn/modules/conv.py:5: UserWarning"),
    ("%1 : Tensor = aten::relu(%x) # /opt/v/lib/python3.12/site-packages/torch/nn/functional.py:1500:17",
     "%1 : Tensor = aten::relu(%x) # site-packages/torch/nn/functional.py:1500:17"),
    ("'/usr/lib/python3/dist-packages/numpy/core.py'", "'site-packages/numpy/core.py'"),
    (r"C:\Users\Me\.venv\Lib\site-packages\torch\nn\modules\conv.py:5: UserWarning",
     "site-packages/torch/nn/modules/conv.py:5: UserWarning"),
    (r"'D:\\v\\Lib\\site-packages\\torch\\__init__.py'", "'site-packages/torch/__init__.py'"),
    (r"C:\v\Lib\site-packages\six.py", "site-packages/six.py"),
    (r"C:\v\Lib\site-packages\a\b\c\d\e.py", "site-packages/a/b/c/d/e.py"),
    (r"C:\v\Lib\site-packages\a\b\c\d\e\f.py", "site-packages/a/b/c/d/e/f.py"),
    # The file of a cell: Linux, macOS, Windows.
    (f"# /tmp/{KERNEL}/1234567890.py:3:0", "# CELL.py:3:0"),
    (f'File "/private/var/folders/q1/x_2/T/{KERNEL}/22.py", line 3', 'File "CELL.py", line 3'),
    (f"/var/folders/q1/x_2/T/{KERNEL}/22.py:3: TracerWarning: Converting", "CELL.py:3: TracerWarning: Converting"),
    (r"C:\Users\Me Too\AppData\Local\Temp\ipykernel_12\34.py:3: TracerWarning", "CELL.py:3: TracerWarning"),
    (r"'C:\\Users\\Me\\AppData\\Local\\Temp\\ipykernel_12\\34.py'", "'CELL.py'"),
    # Files of the course: source ranges, compile errors, warnings.
    ("%2 : int = prim::Constant[value=1]() # /home/my course/course_utils/classroom/models.py:7:0",
     "%2 : int = prim::Constant[value=1]() # models.py:7:0"),
    ("# File: /home/me/model.py:7:0", "# model.py:7:0"),
    (r"# C:\course\course_utils\models.py:7:0", "# models.py:7:0"),
    ('  File "/home/me/course_utils/classroom/models.py", line 12', '  File "models.py", line 12'),
    (r'  File "C:\course\models.py", line 12', '  File "models.py", line 12'),
    ("x\n/home/me/course_utils/classroom/models.py:33: TracerWarning: y", "x\nmodels.py:33: TracerWarning: y"),
    # Temporary directories.
    ("cannot open /tmp/tmpab12cd_x/missing.pt", "cannot open TMP/missing.pt"),
    ("'/var/folders/q1/x_2/T/tmpab12cd_x'", "'TMP/'"),
    (r"'C:\\Users\\Me\\AppData\\Local\\Temp\\tmpab12cd_x\\missing.pt'", "'TMP/missing.pt'"),
    # Addresses.
    ("<object object at 0x7f00aa00bb00>", "<object object at 0xADDR>"),
]  # fmt: skip
COMPARED = [
    ('<img alt="a" src="data:image/png;base64,iVBOR/w0K+=">', '<img alt="a" src="PIXELS">'),
    ("executorch 1.5.1: run here and now", "executorch 1.5.1: ORIGIN"),
    (
        "recorded on 2026-11-23; ExecuTorch is not installed here; to install it: make executorch",
        "ORIGIN",
    ),
    ("__torch__.___torch_mangle_12.Net", "__torch__.Net"),
    ("def ___torch_mangle_3(", "def ___torch_mangle_N("),
    ("Python 3.11.7 (main)", "Python 3.X (main)"),
    ("Python 3.13.0rc1", "Python 3.X"),
    ("torch 2.15.0+cu132, torchvision 0.29.2+cpu", "torch 2.15.0, torchvision 0.29.2"),
    ("2.16.0+gitab12cd3", "2.16.0"),
]
UNCHANGED = [
    '<img alt="a graph" src="data:image/svg+xml;base64,PHN2Zz4=">',
    '<img src="data:image/svg+xml;base64,AA"><img src="data:image/svg+xml;base64,+/x/tmpab12cdx/A==">',
    "a ratio of 1/2, and/or https://pytorch.org/docs/stable/jit.html",
    "notebooks/01_tracing.ipynb",
    "model.py:7: a relative path",
    "not supported in Python 3.14+ and may break",
    "0xFF and 2.15.0 and 1.0.0+local",
    "torch/nn/modules/conv.py",
    "<td>1</td><td>/</td>",
    "aten::div(%a, %b) # CELL.py:3:0",
    "tmpfile and tmp_models",
]
TORN_APART = st.lists(
    st.sampled_from(
        ["/", "\\", " ", "\n", "C:", "# ", "File ", '"', "'", "site-packages", "ipykernel_1", "tmpab12cd_x",
         "0xabcdef01", "a.py:3:0", "7.py", "___torch_mangle_1", ".", "Python 3.11.7", "2.15.0+cpu", "home", "x",
         ": UserWarning"]
    ),
    max_size=14,
).map("".join)  # fmt: skip


@pytest.mark.parametrize(("before", "after"), STORED + COMPARED)
def test_a_rule_changes_what_it_is_for_and_once_is_enough(before: str, after: str) -> None:
    once = sanitize_text(before, CFG)
    assert once == after
    assert sanitize_text(once, CFG) == once
    stored = after if (before, after) in STORED else before
    assert sanitize_text(before, CFG, stored_only=True) == stored, (
        "paths and addresses go, what readers should see stays"
    )


def test_what_does_not_vary_is_left_alone() -> None:
    assert [sanitize_text(text, CFG) for text in UNCHANGED] == UNCHANGED


def test_every_rule_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    rules = read_rules(CFG)
    unneeded = []
    for rule in rules:
        others = tuple(other for other in rules if other != rule)
        monkeypatch.setattr("course_utils.authoring.sanitize.read_rules", lambda _, others=others: others)
        if all(sanitize_text(before, CFG) == after for before, after in STORED + COMPARED):
            unneeded.append(rule.line)
    assert rules and unneeded == []


@settings(deadline=None, max_examples=200)
@given(TORN_APART)
def test_once_is_enough_in_odd_text_too(text: str) -> None:
    once = sanitize_text(text, CFG)
    assert sanitize_text(once, CFG) == once


def test_nbval_reads_the_same_rules() -> None:
    pairs = get_sanitize_patterns(CFG.read_text(encoding="utf-8"))
    assert pairs == [(rule.pattern.pattern, rule.replacement) for rule in read_rules(CFG)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[stored]\nregex: a\n\nreplace: b\n", "line 3: a 'replace: ' line"),
        ("[stored]\nregex: a\nreplace: \n", "line 3: a 'replace: ' line"),
        ("[stored]\nregex: a\nreplace:\n", "line 3: a 'replace: ' line"),
        ("[stored]\nregex: a\n", "line 2: a 'replace: ' line must follow"),
        ("[stored]\nreplace: b\n", "line 2: write 'regex: …'"),
        ("[stored]\nregex:a\nreplace: b\n", "line 2: write 'regex: …'"),
        ("[stored]\nregex: (\nreplace: b\n", "doesn't compile"),
        ("[stored]\nregex: a\nreplace: b\nregex: a\nreplace: c\n", "stands in the file already"),
        ("regex: a\nreplace: b\n", r"line 1: put the rule under \[stored\] or \[compared\]"),
    ],
)
def test_a_broken_file_is_refused(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "rules.cfg"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=words):
        read_rules(path)
