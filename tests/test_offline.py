"""While the tests run, no Python process reaches another machine, and none touches a learner's progress."""

from __future__ import annotations

import os
import runpy
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from course_utils.authoring.isolation import isolate, kernel_environment

ROOT = Path(__file__).resolve().parent.parent
OFFLINE = ROOT / "tests" / "offline"
ELSEWHERE = "192.0.2.1"  # an address that documentation may use and nobody has (RFC 5737)


def with_socket(family: int, kind: int, use) -> None:
    with socket.socket(family, kind) as opened:
        use(opened)


@pytest.mark.parametrize(
    "reach",
    [
        lambda: socket.create_connection((ELSEWHERE, 443), timeout=1),
        lambda: socket.create_connection(("example.invalid", 443), timeout=1),
        lambda: socket.getaddrinfo("example.invalid", 443),
        lambda: socket.gethostbyname("example.invalid"),
        lambda: with_socket(socket.AF_INET, socket.SOCK_DGRAM, lambda s: s.sendto(b"x", (ELSEWHERE, 53))),
        lambda: with_socket(socket.AF_INET, socket.SOCK_STREAM, lambda s: s.connect_ex((ELSEWHERE, 443))),
        lambda: with_socket(socket.AF_INET6, socket.SOCK_STREAM, lambda s: s.connect(("2001:db8::1", 443))),
    ],
)
def test_this_process_cannot_reach_another_machine(reach) -> None:
    with pytest.raises(OSError, match=r"^the course works offline: socket\.\w+ to '.+' is refused"):
        reach()


def test_this_machine_can_be_reached() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        client.sendall(b"x")
        with server.accept()[0] as answering:
            assert answering.recv(1) == b"x"
    assert socket.getaddrinfo("localhost", 80)
    assert socket.getaddrinfo(None, 80)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        (None, True), ("", True), ("localhost", True), (b"LOCALHOST.", True), ("127.8.8.8", True), ("::1", True),
        ("0.0.0.0", True), ("fe80::1%eth0", False), ("10.0.0.1", False), ("127.0.0.1.example.org", False),
        ("localhost.example.org", False), (socket.gethostname(), True),
    ],
)  # fmt: skip
def test_what_counts_as_this_machine(host, expected: bool) -> None:
    is_this_machine = runpy.run_path(str(OFFLINE / "sitecustomize.py"))["is_this_machine"]
    assert is_this_machine(host) is expected


def python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        text=True,
        capture_output=True,
        timeout=60,
        check=False,
    )


def test_a_child_process_is_offline_and_another_sitecustomize_still_runs(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("print('mine too')", encoding="utf-8")
    ours = os.environ["PYTHONPATH"]
    assert ours.split(os.pathsep)[0] == str(OFFLINE)
    code = f"import socket\nsocket.create_connection(({ELSEWHERE!r}, 443), timeout=1)"
    ran = python(code, PYTHONPATH=os.pathsep.join([ours, str(tmp_path)]))
    assert ran.returncode == 1
    assert "OSError: the course works offline" in ran.stderr
    assert ran.stdout.strip() == "mine too"


def test_isolating_twice_changes_nothing() -> None:
    before = dict(os.environ)
    isolate(ROOT)
    assert dict(os.environ) == before


def test_progress_of_tests_and_kernels_is_not_the_learners() -> None:
    here = Path(os.environ["COURSE_PROGRESS_FILE"])
    assert ROOT not in here.parents
    kernels = [kernel_environment(Path("01.ipynb")) for _ in range(2)]
    files = {kernel["COURSE_PROGRESS_FILE"] for kernel in kernels}
    assert len(files | {str(here)}) == 3
    assert all(Path(file).parent.is_dir() and not Path(file).exists() for file in files)
    assert not any(name.startswith("PYTEST_") for kernel in kernels for name in kernel)
    assert kernel_environment(Path("01.ipynb"), OMP_NUM_THREADS="1")["OMP_NUM_THREADS"] == "1"
