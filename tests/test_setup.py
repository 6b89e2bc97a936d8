"""The two commands of the README: what they install, and what they say when a machine is not as it should be."""

import ast
import contextlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import venv
from collections import namedtuple
from itertools import chain
from pathlib import Path

import pytest
import yaml
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from course_utils.classroom import doctor

ROOT = Path(__file__).resolve().parents[1]
OWN_FILES = [
    "install.py",
    "Makefile",
    "environment.yml",
    "requirements.lock",
    "pyproject.toml",
    ".gitignore",
    ".ci/run",
    ".github/workflows/test.yml",
    ".devcontainer/devcontainer.json",
    "course_utils/classroom/doctor.py",
    "tests/test_setup.py",
]
PROVEN = ["3.11", "3.12", "3.13"]


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def locked() -> list[tuple[Requirement, Marker | None]]:
    lines = [line for line in text("requirements.lock").splitlines() if line and not line.lstrip().startswith("#")]
    return [(requirement := Requirement(line), requirement.marker) for line in lines]


# The three files that name packages agree


@pytest.fixture(scope="module")
def project() -> dict:
    return tomllib.loads(text("pyproject.toml"))


@pytest.mark.parametrize("python", PROVEN)
@pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
def test_the_lock_has_one_fitting_version_of_every_direct_dependency(project, python, platform):
    place = {"python_version": python, "python_full_version": f"{python}.0", "sys_platform": platform}
    pins: dict[str, list[str]] = {}
    for requirement, marker in locked():
        if marker is None or marker.evaluate(place):
            pins.setdefault(requirement.name, []).append(str(requirement.specifier).removeprefix("=="))
    extras = project["project"]["optional-dependencies"].values()
    for line in [*project["project"]["dependencies"], *chain(*extras), *project["dependency-groups"]["dev"]]:
        wanted = Requirement(line)
        if wanted.name == project["project"]["name"]:  # an extra that asks for other extras
            continue
        assert len(pins.get(wanted.name, [])) == 1, f"{wanted.name}: run make lock"
        assert pins[wanted.name][0] in wanted.specifier, f"{line} is not {pins[wanted.name][0]}: run make lock"


def test_every_line_of_the_lock_is_one_exact_version():
    for requirement, _ in locked():
        assert re.fullmatch(r"==[\w.]+", str(requirement.specifier)), str(requirement)


def test_the_build_backend_admits_the_locked_uv(project):
    backend = Requirement(project["build-system"]["requires"][0])
    uv = next(str(requirement.specifier).removeprefix("==") for requirement, _ in locked() if requirement.name == "uv")
    # uv builds with its own copy when its version fits, so no second package is fetched to install the course.
    assert backend.name == "uv_build" and uv in backend.specifier


def test_conda_installs_the_lock_and_the_course(project):
    environment = yaml.safe_load(text("environment.yml"))
    [pip_part] = [entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict)]
    assert pip_part == ["-r requirements.lock", "-e ."]
    [python] = [entry for entry in environment["dependencies"] if str(entry).startswith("python=")]
    version = python.removeprefix("python=")
    assert version in PROVEN and Version(version) in SpecifierSet(project["project"]["requires-python"])
    assert "pip" in environment["dependencies"]


def test_the_codespace_runs_a_proven_python_and_the_same_install():
    container = json.loads(text(".devcontainer/devcontainer.json"))
    assert re.fullmatch(r"python:(3\.\d+)-bookworm", container["image"])[1] in PROVEN
    assert container["postCreateCommand"].startswith("python install.py")


def test_the_workflow_runs_the_same_command_on_every_system():
    workflow = yaml.safe_load(text(".github/workflows/test.yml"))
    assert workflow["permissions"] == {"contents": "read"}
    job = workflow["jobs"]["test"]
    assert job["strategy"]["matrix"]["os"] == ["ubuntu", "macos", "windows"]
    assert {"3.11", "3.13"} <= set(job["strategy"]["matrix"]["python"]) <= set(PROVEN)
    runs = [step["run"] for step in job["steps"] if "run" in step]
    assert runs[:2] == [".ci/run", "make test"]
    assert "python install.py" in runs[2] and runs[2].rstrip().endswith("-m pytest")
    assert not job.get("continue-on-error") and workflow["jobs"]["newest-torch"]["continue-on-error"] is True
    actions = [step["uses"] for job in workflow["jobs"].values() for step in job["steps"] if "uses" in step]
    assert actions and all(re.fullmatch(r"[\w/-]+@v\d+\.\d+\.\d+", action) for action in actions)


def test_no_file_names_an_index():
    for name in OWN_FILES:
        found = re.search(
            r"(?i)https?:/{2}(?!127\.)|pypi[.]|anaconda[.]org|pytorch[.]org|-{2}(extra-)?index|ghcr[.]|mcr[.]",
            text(name),
        )
        assert found is None, f"{name}: {found}"


# make


def make_verbs() -> dict[str, str]:
    return dict(re.findall(r"^([a-z-]+):.*## (.+)$", text("Makefile"), re.MULTILINE))


def test_make_help_is_the_default_and_names_every_verb():
    phony = re.search(r"^\.PHONY: (.+)$", text("Makefile"), re.MULTILINE)[1].split()
    assert sorted(phony) == sorted(make_verbs())
    if shutil.which("make") is None:
        pytest.skip("no make on this machine; the verbs were read from the Makefile")
    printed = make()
    assert [line.split()[1] for line in printed.splitlines()] == list(make_verbs())


def make(*arguments: str) -> str:
    """What make prints; none of the settings of an outer make, such as `make test`, reach it."""
    variables = {k: v for k, v in os.environ.items() if k not in ("PYTHON", "TORCH", "ARGS", "LESSON", "MFLAGS")}
    variables = {k: v for k, v in variables.items() if not k.startswith("MAKE")}
    command = ["make", "--no-print-directory", *arguments]
    return subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, encoding="utf-8", check=True).stdout


def dry_run(*arguments: str) -> list[str]:
    if shutil.which("make") is None:
        pytest.skip("no make on this machine")
    return [" ".join(line.split()) for line in make("--dry-run", *arguments).splitlines()]


@pytest.mark.parametrize("verb", sorted(set(make_verbs()) - {"help", "clean"}))
def test_every_verb_installs_first(verb):
    assert re.fullmatch(r"(python3|py) install\.py", dry_run(verb)[0])


def test_make_passes_on_what_was_asked_for():
    first, second = dry_run("test", "PYTHON=python3.12", "TORCH=cpu", "ARGS=tests/test_x.py -q")
    assert first == "python3.12 install.py --this-python --torch cpu"
    assert second.endswith("python -m pytest tests/test_x.py -q")
    assert dry_run("lab", "ARGS=--no-browser")[1].endswith("python -m course_utils lab --no-browser")
    assert dry_run("run", "LESSON=03")[1].endswith("authoring run 03")


needs_bash = pytest.mark.skipif(os.name == "nt", reason=".ci/run is a bash script for the Linux and macOS machines")


@needs_bash
@pytest.mark.parametrize("outcome", [0, 1, 2])
def test_ci_runs_make_test_and_hands_on_its_exit_code(tmp_path, outcome):
    fake_bin = tmp_path / "bin"
    fake_bin.mkdir()
    for name, script in {"make": f'echo "make $*"; exit {outcome}', "chromium": "exit 0"}.items():
        (fake_bin / name).write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        (fake_bin / name).chmod(0o755)
    assert os.access(ROOT / ".ci/run", os.X_OK)
    variables = {**os.environ, "PATH": f"{fake_bin}{os.pathsep}{os.environ['PATH']}"}
    command = [ROOT / ".ci/run", "-q"]
    done = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, encoding="utf-8")
    assert (done.returncode, done.stdout.strip()) == (outcome, "make test ARGS=-q")


# install.py, in a folder of its own, with commands that only pretend

Usage = namedtuple("Usage", "total used free")
TINY_LOCK = "# a comment\ntorch==2.15.0\nuv==0.13.9 ; python_version >= '3.11'\n"
TINY_PROJECT = (
    '[project]\nname = "tiny"\ndependencies = [\n  "torch>=2",\n]\n[tool.pytest.ini_options]\ntestpaths = []\n'
)


class Installer:
    """install.py loaded from a folder of its own. `steps` holds the commands it ran; `fails` makes one of them fail."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch):
        shutil.copy(ROOT / "install.py", folder)
        self.folder, self.monkeypatch = folder, monkeypatch
        self.lock, self.project = folder / "requirements.lock", folder / "pyproject.toml"
        self.lock.write_text(TINY_LOCK, encoding="utf-8")
        self.project.write_text(TINY_PROJECT, encoding="utf-8")
        monkeypatch.delenv("COURSE_TORCH", raising=False)
        monkeypatch.delenv("COURSE_SKIP_DISK_CHECK", raising=False)
        spec = importlib.util.spec_from_file_location("install_under_test", folder / "install.py")
        self.module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(self.module)
        monkeypatch.setattr(self.module, "run", self.run)
        self.free(100)
        self.steps: list[str] = []
        self.fails: dict[str, BaseException] = {}

    def free(self, gigabytes: float) -> None:
        usage = Usage(0, 0, int(gigabytes * 1e9))
        self.monkeypatch.setattr(self.module.shutil, "disk_usage", lambda path: usage)

    def run(self, command: list) -> None:
        """In place of running a command: make what it would leave behind, as far as the next step looks at it."""
        step = " ".join(map(str, command[1:]))
        self.steps.append(step)
        for part, failure in self.fails.items():
            if part in step:
                raise failure
        if "-m venv" in step:
            venv.create(self.module.VENV, with_pip=False)

    def __call__(self, *arguments: str) -> int:
        self.steps.clear()
        return self.module.main(list(arguments))

    @property
    def stamp(self) -> dict:
        return self.module.read_stamp()


@pytest.fixture
def installer(tmp_path, monkeypatch) -> Installer:
    return Installer(tmp_path, monkeypatch)


def failure(installer: Installer, words: str) -> BaseException:
    return installer.module.StepFailed(words)


def test_install_py_can_be_read_by_old_pythons():
    ast.parse(text("install.py"), feature_version=(3, 6))
    with pytest.raises(SyntaxError):  # the check is able to fail
        ast.parse("(x := 1)", feature_version=(3, 6))
    imported = {
        name.split(".")[0]
        for node in ast.walk(ast.parse(text("install.py")))
        for name in (
            [node.module] if isinstance(node, ast.ImportFrom) else [a.name for a in getattr(node, "names", [])]
        )
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    assert imported <= sys.stdlib_module_names - {"tomllib"}


def test_a_first_install_does_all_steps_in_order_and_stamps_last(installer, capfd):
    assert installer() == 0
    verbs = [re.search(r"-m venv|ensurepip|uv==|pip sync|editable|doctor", step)[0] for step in installer.steps]
    assert verbs == ["-m venv", "ensurepip", "uv==", "pip sync", "editable", "doctor"]
    assert "uv==0.13.9" in installer.steps[2]
    assert "--compile-bytecode requirements.lock" in installer.steps[3]
    assert installer.stamp["state"] == "installed"
    assert installer.stamp["python"].split(".")[:2] == [str(part) for part in sys.version_info[:2]]
    assert "The environment is ready" in capfd.readouterr().out


def test_every_uv_command_names_the_course_s_python(installer):
    installer()
    uv_steps = [step for step in installer.steps if step.startswith("pip ")]
    assert len(uv_steps) == 2 and all(f"--python {installer.module.VENV_PYTHON}" in step for step in uv_steps)


def test_a_second_install_does_nothing(installer, capfd):
    installer()
    capfd.readouterr()
    assert installer() == 0
    assert installer.steps == [] and capfd.readouterr() == ("", "")


def test_a_second_install_is_quick_and_needs_no_modern_python(installer):
    installer()
    installer.module.check_python = installer.module.check_space = lambda *_: pytest.fail("nothing is to be done")
    assert installer() == 0
    # The process as make starts it: it imports nothing but small parts of the standard library.
    code = "import sys, install; code = install.main([]); print(code, 'tomllib' in sys.modules, 'venv' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=installer.folder, capture_output=True, encoding="utf-8")
    assert done.stdout.split() == ["0", "False", "False"], done.stderr


@pytest.mark.parametrize(
    "change, steps",
    [
        (lambda i: i.lock.write_text(TINY_LOCK.replace("2.15.0", "2.15.1"), encoding="utf-8"), True),
        (lambda i: i.project.write_text(TINY_PROJECT.replace("torch>=2", "torch>=1"), encoding="utf-8"), True),
        (lambda i: i.project.write_text(TINY_PROJECT + "[build-system]\nrequires = []\n", encoding="utf-8"), True),
        (lambda i: i.project.write_text(TINY_PROJECT + "[tool.uv]\n", encoding="utf-8"), True),
        (lambda i: i.project.write_text(TINY_PROJECT + "[tool.uvular]\n", encoding="utf-8"), False),
        (lambda i: i.project.write_text(TINY_PROJECT + "[[tool.ruff.x]]\nb = 1\n", encoding="utf-8"), False),
    ],
    ids=["lock", "dependency", "build-system", "uv's table", "a table of another tool", "another's list of tables"],
)
def test_what_makes_it_install_again_into_the_same_environment(installer, change, steps):
    installer()
    change(installer)
    assert installer() == 0
    assert bool(installer.steps) is steps
    assert not any("-m venv" in step for step in installer.steps)
    assert installer() == 0 and installer.steps == []


@pytest.mark.parametrize("step", ["-m venv", "uv==", "pip sync", "editable", "doctor"])
def test_an_interrupted_install_leaves_no_valid_stamp_and_is_taken_up_again(installer, capfd, step):
    installer.fails = {step: KeyboardInterrupt()}
    assert installer() == 130
    assert "Run the same command again" in capfd.readouterr().err
    assert installer.stamp.get("state") != "installed"
    installer.fails = {}
    assert installer() == 0
    assert installer.stamp["state"] == "installed"
    assert any("-m venv" in done for done in installer.steps) == (step == "-m venv")


def test_an_interrupt_during_a_later_change_makes_the_old_stamp_invalid(installer):
    installer()
    old = installer.lock.read_text(encoding="utf-8")
    installer.lock.write_text(old + "extra==1\n", encoding="utf-8")
    installer.fails = {"pip sync": KeyboardInterrupt()}
    installer()
    installer.lock.write_text(old, encoding="utf-8")  # back to the lock of the first install: packages are half changed
    installer.fails = {}
    assert installer() == 0 and any("pip sync" in step for step in installer.steps)


def test_a_real_ctrl_c_or_kill_ends_the_running_command(installer, tmp_path):
    """`run` itself, with a real process: an exception while it waits ends the command before it is passed on."""
    mark = tmp_path / "mark"
    code = f"import time; print('started', flush=True); time.sleep(3); open({str(mark)!r}, 'w')"

    class Interrupted:
        encoding = "utf-8"

        def write(self, words):
            raise KeyboardInterrupt

        def flush(self):
            pass

    spec = importlib.util.spec_from_file_location("install_real", installer.folder / "install.py")
    real = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(real)
    with contextlib.redirect_stdout(Interrupted()), pytest.raises(KeyboardInterrupt):
        real.run([sys.executable, "-c", code])
    assert not mark.exists()


def test_run_passes_lines_on_and_keeps_them_for_the_explanation(installer, capfd):
    spec = importlib.util.spec_from_file_location("install_real", installer.folder / "install.py")
    real = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(real)
    with pytest.raises(real.StepFailed) as caught:
        real.run([sys.executable, "-c", "import sys; print('one'); print('two', file=sys.stderr); sys.exit(3)"])
    assert sorted(caught.value.words.split()) == ["one", "two"]
    assert sorted(capfd.readouterr().out.split()) == ["one", "two"]


# What stands in the way, and what it says


def stopped(installer: Installer, capfd, *arguments: str) -> str:
    assert installer(*arguments) == 1
    assert not installer.module.is_current(installer.stamp, installer.module.parse(list(arguments)))
    return capfd.readouterr().err


@pytest.mark.parametrize("present", [None, "python3.12"])
def test_python_too_old(installer, capfd, monkeypatch, present):
    monkeypatch.setattr(installer.module, "runs", lambda command, expected="": command[0] == present)
    monkeypatch.setattr(installer.module.sys, "version_info", (3, 8, 18))
    said = stopped(installer, capfd)
    assert "Python 3.11 or newer is needed, this is 3.8." in said
    assert (
        "python3.12 is here: run `make lab PYTHON=python3.12`" if present else "Install Python 3.11, 3.12 or"
    ) in said
    assert installer.steps == []


def test_a_newer_python_is_told_so_and_goes_on(installer, capfd, monkeypatch):
    installer.module.say_version_is_new((3, 14, 0))
    said = capfd.readouterr().out
    assert "this is Python 3.14" in said and "make lab PYTHON=python3.13" in said
    installer.module.say_version_is_new((3, 13, 9))
    assert capfd.readouterr().out == ""
    installer.module.check_python((3, 14, 0))


@pytest.mark.parametrize("missing", ["venv", "ensurepip"])
def test_python_without_venv(installer, capfd, monkeypatch, missing):
    real = importlib.util.find_spec
    finds = lambda name, *rest: None if name == missing else real(name, *rest)  # noqa: E731
    monkeypatch.setattr(installer.module.importlib.util, "find_spec", finds)
    said = stopped(installer, capfd)
    package = "python{}.{}-venv".format(*sys.version_info[:2])
    assert f"module {missing}" in said and f"sudo apt install {package}" in said


@pytest.mark.parametrize("torch, needed", [("default", 7 if sys.platform.startswith("linux") else 2), ("cpu", 2)])
def test_disk_too_small(installer, capfd, torch, needed):
    installer.free(needed - 0.1)
    said = stopped(installer, capfd, "--torch", torch)
    assert f"{needed}.0 GB are needed" in said and f"{needed - 0.1:.1f} GB are free" in said
    assert installer.steps == []
    installer.free(needed + 0.1)
    assert installer("--torch", torch) == 0


def test_the_disk_check_counts_what_is_already_there_and_can_be_skipped(installer, capfd, monkeypatch):
    installer.free(1)
    stopped(installer, capfd)
    monkeypatch.setattr(installer.module, "folder_size", lambda folder: 6.5e9)
    assert installer() == 0
    monkeypatch.setattr(installer.module, "folder_size", lambda folder: 0)
    installer.lock.write_text(TINY_LOCK + "extra==1\n", encoding="utf-8")
    stopped(installer, capfd)
    monkeypatch.setenv("COURSE_SKIP_DISK_CHECK", "1")
    assert installer() == 0


def test_the_folder_cannot_be_written_to(installer, capfd):
    # A folder in the lock file's place fails for every user, root too.
    (installer.folder / ".venv.lock").mkdir()
    assert "cannot be written to" in (said := stopped(installer, capfd)) and "Copy the course to a folder" in said


# As uv 0.13 and pip 23 to 25 wrote them.
UV_DNS = """error: Request failed after 3 retries in 8.6s
  cause: error sending request for url
  cause: client error (Connect)
  cause: dns error
  cause: failed to lookup address information: Temporary failure in name resolution"""
PIP_DNS = """WARNING: Retrying (Retry(total=0, connect=None)) after connection broken by 'NewConnectionError('<…>:
Failed to establish a new connection: [Errno -3] Temporary failure in name resolution')': /simple/uv/
ERROR: Could not find a version that satisfies the requirement uv==0.13.9 (from versions: none)
ERROR: No matching distribution found for uv==0.13.9"""
UV_FULL = """warning: Failed to hardlink files; falling back to full copy. This may lead to degraded performance.
error: Failed to install: nvidia_cuda_nvrtc-13.2.86.whl
  cause: failed to copy file: No space left on device (os error 28)"""


@pytest.mark.parametrize(
    "words, meaning, action",
    [
        (UV_DNS, "no package index could be reached", "Check the network connection"),
        (PIP_DNS, "no package index could be reached", "run the same command again"),
        ("error: operation timed out", "no package index could be reached", "behind a proxy"),
        (UV_FULL, "the disk is too small", "Make room"),
        ("OSError: [Errno 28] No space left on device", "the disk is too small", "Make room"),
        ("There is not enough space on the disk. (os error 112)", "the disk is too small", "Make room"),
        ("invalid peer certificate: UnknownIssuer, error sending request", "certificate of its own", "SSL_CERT_FILE"),
        ("SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED]", "certificate of its", "PIP_CERT"),
        ("torch==2.15.0 has no wheels with a matching platform tag", "no build for this machine", "Codespaces"),
        ("failed to remove file: Access is denied. (os error 5)", "could not be written", "Close JupyterLab"),
        ("error: something nobody has seen", "its own words are above", "remove the folder .venv"),
    ],
)
@pytest.mark.parametrize("step", ["uv==", "pip sync"])
def test_a_failed_step_is_explained(installer, capfd, words, meaning, action, step):
    installer.fails = {step: failure(installer, words)}
    said = stopped(installer, capfd)
    assert meaning in said and action in said


def test_on_a_terminal_the_bars_are_uv_s_own_and_a_failure_is_tried_once_more(installer, capfd, monkeypatch):
    class Terminal:
        encoding = "utf-8"

        def isatty(self):
            return True

        def write(self, words):
            return len(words)

        def flush(self):
            pass

    shown: list[str] = []
    outcome = 0

    def call(command, **_):
        shown.append(" ".join(map(str, command)))
        return outcome

    monkeypatch.setattr(installer.module.subprocess, "call", call)
    monkeypatch.setattr(installer.module.sys, "stdout", Terminal())
    monkeypatch.setattr(installer.module.sys, "stderr", Terminal())
    assert installer() == 0
    assert len(shown) == 1 and "pip sync" in shown[0]
    assert not any("pip sync" in step for step in installer.steps)

    outcome = 1
    installer.lock.write_text(TINY_LOCK + "extra==1\n", encoding="utf-8")
    assert installer() == 0
    assert len(shown) == 2 and any("pip sync" in step for step in installer.steps)


def test_a_problem_found_by_the_check_stops_the_install(installer, capfd):
    installer.fails = {"doctor": failure(installer, "torch does not load: permission denied")}
    said = stopped(installer, capfd)
    assert "the check above found a problem" in said and "permission" not in said


def test_the_user_s_own_settings_do_not_reach_the_steps(installer, monkeypatch):
    for name in ("PYTHONDONTWRITEBYTECODE", "PIP_USER", "PYTHONPATH", "VIRTUAL_ENV", "UV_SYSTEM_PYTHON"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("UV_HTTP_TIMEOUT", "7")
    variables = installer.module.environment()
    assert not {"PYTHONDONTWRITEBYTECODE", "PIP_USER", "PYTHONPATH", "VIRTUAL_ENV", "UV_SYSTEM_PYTHON"} & set(variables)
    assert variables["UV_HTTP_TIMEOUT"] == "7"


# An environment that is there already


def remade(installer: Installer) -> bool:
    return any("-m venv" in step for step in installer.steps)


def test_a_folder_that_is_no_environment_is_left_alone(installer, capfd):
    kept = installer.folder / ".venv" / "mine.txt"
    kept.parent.mkdir()
    kept.write_text("mine", encoding="utf-8")
    said = stopped(installer, capfd)
    assert "is no Python environment" in said and "Move it away" in said
    assert kept.read_text(encoding="utf-8") == "mine"


def test_a_file_in_its_place_is_left_alone(installer, capfd):
    (installer.folder / ".venv").write_text("mine", encoding="utf-8")
    assert "is a link or a file" in stopped(installer, capfd)
    assert (installer.folder / ".venv").read_text(encoding="utf-8") == "mine"


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege on Windows")
def test_a_link_is_not_followed_for_removing(installer, capfd):
    elsewhere = installer.folder / "elsewhere"
    venv.create(elsewhere, with_pip=False)
    shutil.rmtree(elsewhere / "bin")
    (installer.folder / ".venv").symlink_to(elsewhere)
    assert "is a link or a file" in stopped(installer, capfd)
    assert (elsewhere / "pyvenv.cfg").exists()


def test_an_empty_start_of_an_environment_is_taken_over(installer):
    (installer.folder / ".venv" / "include").mkdir(parents=True)  # what a kill in the first moment leaves
    assert installer() == 0 and remade(installer)


def test_an_environment_whose_python_is_gone_is_made_again(installer):
    installer()
    (installer.module.VENV / "old.txt").touch()
    installer.module.VENV_PYTHON.unlink()
    assert installer() == 0 and remade(installer)
    assert not (installer.module.VENV / "old.txt").exists()


def test_an_environment_whose_python_does_not_run_is_made_again(installer, monkeypatch):
    installer()
    installer.module.STAMP.unlink()
    answers = iter([None, sys.version_info[:2]])
    monkeypatch.setattr(installer.module, "venv_version", lambda: next(answers))
    assert installer() == 0 and remade(installer)


def test_an_environment_without_stamp_that_runs_is_kept(installer):
    venv.create(installer.module.VENV, with_pip=False)
    assert installer() == 0 and not remade(installer)


def test_a_folder_that_was_moved_gets_a_new_environment(installer):
    installer()
    stamp = installer.stamp
    installer.module.write_stamp({**stamp, "root": str(installer.folder / "before")})
    assert installer() == 0 and remade(installer)


def test_only_a_python_asked_for_by_name_replaces_the_one_in_use(installer, monkeypatch):
    installer()
    monkeypatch.setattr(installer.module, "venv_version", lambda: (3, 99))
    assert installer() == 0 and installer.steps == []
    assert installer("--this-python") == 0 and remade(installer)


def test_the_choice_of_torch_is_kept_until_another_is_made(installer):
    assert installer("--torch", "cpu") == 0
    [packages] = [step for step in installer.steps if "torch-backend" in step]
    assert packages.startswith("pip install ")
    chosen = "--requirements=pyproject.toml --all-extras --group=dev --constraints=requirements.lock"
    assert packages.endswith(f"--torch-backend=cpu {chosen}")
    assert installer() == 0 and installer.steps == []
    installer.lock.write_text(TINY_LOCK + "extra==1\n", encoding="utf-8")
    assert installer() == 0 and any("torch-backend=cpu" in step for step in installer.steps)
    assert installer("--torch", "default") == 0
    assert remade(installer) and any("pip sync" in step for step in installer.steps)


def test_torch_can_be_chosen_by_the_environment(installer, monkeypatch, capfd):
    monkeypatch.setenv("COURSE_TORCH", "cpu")
    assert installer() == 0 and installer.stamp["torch"] == "cpu"
    monkeypatch.setenv("COURSE_TORCH", "gpu")
    with pytest.raises(SystemExit):
        installer()
    assert "set it to cpu or default" in capfd.readouterr().err


def test_an_environment_is_not_removed_from_inside(installer, capfd, monkeypatch):
    installer()
    monkeypatch.setattr(installer.module.sys, "prefix", str(installer.module.VENV))
    assert installer("--torch", "cpu") == 1
    assert "deactivate" in capfd.readouterr().err and installer.module.VENV_PYTHON.exists()


def test_two_installs_at_a_time_wait_for_each_other(installer, capfd, monkeypatch):
    other = open(installer.folder / ".venv.lock", "a")  # noqa: SIM115  the other process
    assert installer.module.take(other)

    def finish_elsewhere(_):
        assert installer.steps == []
        other.close()

    monkeypatch.setattr(installer.module.time, "sleep", finish_elsewhere)
    assert installer() == 0
    assert "Another install is running in this folder" in capfd.readouterr().out


# For real, where it is asked for


@pytest.mark.skipif(
    not os.environ.get("COURSE_TEST_INSTALL"), reason="set COURSE_TEST_INSTALL=1: it makes a whole environment"
)
def test_conda_s_pip_part_installs_into_an_empty_environment(tmp_path):
    """By links into uv's cache, where `make test` left what it downloaded; the network only fills in the rest."""
    for name in ("pyproject.toml", "requirements.lock", "environment.yml", "course.toml", "README.md"):
        shutil.copy(ROOT / name, tmp_path)
    for path in ROOT.glob("LICENSE*"):
        shutil.copy(path, tmp_path)
    shutil.copytree(ROOT / "course_utils", tmp_path / "course_utils", ignore=shutil.ignore_patterns("__pycache__"))
    [pip_part] = [e["pip"] for e in yaml.safe_load(text("environment.yml"))["dependencies"] if isinstance(e, dict)]
    (tmp_path / "pip-part.txt").write_text("\n".join(pip_part) + "\n", encoding="utf-8")

    home = tmp_path / "empty"
    venv.create(home, with_pip=False)
    python = home / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    uv = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--python", str(python)]
    if os.environ.get("COURSE_TORCH") == "cpu":
        uv += ["--torch-backend=cpu", "--requirements=pyproject.toml", "--all-extras", "--group=dev"]
        uv += ["--constraints=requirements.lock", "-e", "."]
    else:
        uv += ["--requirements=pip-part.txt"]
    variables = {**os.environ, "UV_LINK_MODE": "symlink"}
    for command in ([*uv, "--offline"], uv):
        done = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, encoding="utf-8", timeout=300)
        if done.returncode == 0:
            break
    assert done.returncode == 0, done.stderr
    code = "import torch, course_utils.classroom.doctor, course_utils; print(torch.__version__, course_utils.__file__)"
    done = subprocess.run(
        [python, "-c", code], cwd=home, capture_output=True, encoding="utf-8", timeout=120, env=installed_only()
    )
    assert done.returncode == 0, done.stderr
    version, place = done.stdout.split(maxsplit=1)
    assert version.partition("+")[0] == doctor.locked_versions(text("requirements.lock"))["torch"]
    assert Path(place.strip()).resolve() == (tmp_path / "course_utils" / "__init__.py").resolve()


def installed_only() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}


# The doctor


@pytest.fixture(scope="module")
def findings() -> list[doctor.Finding]:
    return doctor.examine()


def test_the_doctor_looks_at_everything(findings):
    names = [finding.name for finding in findings]
    for name in ("Python", "torch", "torchvision", "notebooks", "TorchScript", "CPU", "threads", "GPU", "C++ tools"):
        assert name in names
    assert {"course folder", "temporary folder", "memory"} <= set(names)
    assert all(finding.detail and finding.status in ("ok", "warning", "problem") for finding in findings)


def test_whatever_is_not_ok_says_what_to_do(findings):
    for finding in findings:
        assert bool(finding.action) == (finding.status != "ok"), finding


def test_the_doctor_asks_torchscript_itself(findings):
    [finding] = [finding for finding in findings if finding.name == "TorchScript"]
    assert finding.status == "ok"
    assert "FutureWarning: `torch.jit.script` is deprecated" in finding.detail


def test_torchscript_that_does_not_work_is_a_problem(monkeypatch):
    import torch

    def refuse(function):
        raise RuntimeError("removed")

    monkeypatch.setattr(torch.jit, "script", refuse)
    [finding] = doctor._torchscript()
    assert finding.status == "problem" and "RuntimeError: removed" in finding.detail


@pytest.mark.parametrize(
    "found, status", [("2.15.0", "ok"), ("2.15.0+cpu", "ok"), ("2.15.1", "warning"), ("2.9.0+cu128", "warning")]
)
def test_versions_are_compared_with_the_lock(monkeypatch, tmp_path, found, status):
    (tmp_path / "requirements.lock").write_text("torch==2.15.0 ; python_version > '3'\n", encoding="utf-8")
    monkeypatch.setattr(doctor.manifest, "course_root", lambda: tmp_path)
    monkeypatch.setattr(doctor.metadata, "version", lambda name: found)
    finding = next(iter(doctor._packages()))
    assert (finding.name, finding.status) == ("torch", status)


def test_a_missing_package_is_a_problem(monkeypatch):
    def missing(name):
        raise doctor.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(doctor.metadata, "version", missing)
    assert {finding.status for finding in doctor._packages()} == {"problem"}


@pytest.mark.parametrize(
    "version, status", [((3, 10), "problem"), ((3, 11), "ok"), ((3, 13), "ok"), ((3, 14), "warning")]
)
def test_the_python_versions(monkeypatch, version, status):
    monkeypatch.setattr(doctor.sys, "version_info", version)
    [finding] = doctor._python()
    assert finding.status == status


def test_a_missing_compiler_is_no_more_than_a_warning(monkeypatch):
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", "")
    [finding] = doctor._cpp()
    assert finding.status == "warning"
    assert "no C++ compiler found; lesson 09" in finding.detail and "C++ programs" in finding.detail


def test_a_folder_that_cannot_be_written_to_is_a_problem(monkeypatch, tmp_path):
    monkeypatch.setattr(doctor.manifest, "course_root", lambda: tmp_path / "gone")
    course, temporary = doctor._places()
    assert (course.status, temporary.name) == ("problem", "temporary folder")


@pytest.mark.parametrize("free, status", [(50e6, "problem"), (500e6, "warning"), (5e9, "ok")])
def test_a_full_disk(monkeypatch, free, status):
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda folder: Usage(0, 0, free))
    assert {finding.status for finding in doctor._places()} == {status}


def test_a_check_that_breaks_is_itself_a_finding(monkeypatch):
    def _strange():
        raise ValueError("nobody thought of it")
        yield

    monkeypatch.setattr(doctor, "CHECKS", (_strange,))
    [finding] = doctor.examine()
    assert (finding.name, finding.status) == ("strange", "problem") and "nobody thought of it" in finding.detail


@pytest.mark.parametrize("status, code", [("ok", 0), ("warning", 0), ("problem", 1)])
def test_the_exit_code_and_the_printed_lines(monkeypatch, capsys, status, code):
    line = doctor.Finding("disk [x]", status, "path/[odd]/name", "do this" if status != "ok" else "")
    monkeypatch.setattr(doctor, "examine", lambda: [line])
    assert doctor.main() == code
    printed = capsys.readouterr().out
    assert status in printed and "path/[odd]/name" in printed
    assert ("to do: do this" in printed) == (status != "ok")
    assert ("to solve before lesson 00" in printed) == bool(code)
