"""The README's ways to install: they agree, and install.py says what to do when a machine is not as it should be."""

import ast
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
import uv
import yaml
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from course_utils.classroom import doctor

ROOT = Path(__file__).resolve().parents[1]
PROVEN = ["3.11", "3.12", "3.13"]
OWN_FILES = (
    *("install.py", "Makefile", "environment.yml", "binder/environment.yml", "binder/postBuild", "requirements.lock"),
    *("pyproject.toml", ".gitignore", ".ci/run", ".github/workflows/test.yml", ".devcontainer/devcontainer.json"),
    *("course_utils/classroom/doctor.py", "tests/test_setup.py"),
)
Usage = namedtuple("Usage", "total used free")


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def load(path: Path):
    spec = importlib.util.spec_from_file_location("install_under_test", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def locked() -> list[tuple[Requirement, Marker | None]]:
    lines = [line for line in text("requirements.lock").splitlines() if line and not line.lstrip().startswith("#")]
    return [(requirement := Requirement(line), requirement.marker) for line in lines]


# One lock, and every way to install takes its versions from it


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
    pin = next(str(requirement.specifier).removeprefix("==") for requirement, _ in locked() if requirement.name == "uv")
    # uv builds with its own copy when its version fits, so no second package is fetched to install the course.
    assert backend.name == "uv_build" and pin in backend.specifier


def ways() -> dict[str, str]:
    """Every way to install that the README names, as the words that choose the packages."""
    conda = yaml.safe_load(text("environment.yml"))
    [conda_pip] = [x["pip"] for x in conda["dependencies"] if isinstance(x, dict)]
    [with_pip] = re.findall(r"`\.venv/bin/pip install ([^`]+)`", text("README.md"))
    [colab] = re.findall(r"&& pip install ([^`,]+)`", text("README.md"))
    installer = load(ROOT / "install.py")
    return {
        "make lab": " ".join(installer.packages("default", False)),
        "Codespaces, TORCH=cpu": " ".join(installer.packages("cpu", False)),
        "make test": " ".join(installer.packages("default", True)),
        "conda": " ".join(conda_pip),
        "Binder": text("binder/postBuild").splitlines()[-1],
        "pip": with_pip,
        "Colab": colab.replace("course/requirements.lock", "requirements.lock").replace("course[course]", ".[course]"),
    }


def test_every_way_installs_the_course_with_its_extra_in_the_versions_of_the_lock():
    for way, words in ways().items():
        words = words.replace("'", "").replace('"', "").replace("=", " ")
        assert re.search(r"(-c|--constraints) requirements\.lock( |$)", words), way
        assert re.search(r"(-e|--editable) \.\[course\]( |$)", words), way
        assert ("--group dev" in words) == (way == "make test"), way
        assert ("--torch-backend cpu" in words) == (way in ("Codespaces, TORCH=cpu", "Binder")), way


def test_every_way_starts_from_a_proven_python(project):
    container = json.loads(text(".devcontainer/devcontainer.json"))
    assert container["postCreateCommand"] == "python install.py --torch cpu"
    pythons = [re.fullmatch(r"python:(3\.\d+)-bookworm", container["image"])[1]]
    for name in ("environment.yml", "binder/environment.yml"):
        pythons += [x.partition("=")[2] for x in yaml.safe_load(text(name))["dependencies"] if "python=" in x]
    assert len(pythons) == 3 and set(pythons) <= set(PROVEN)
    assert all(python in SpecifierSet(project["project"]["requires-python"]) for python in pythons)
    assert os.name == "nt" or os.access(ROOT / "binder" / "postBuild", os.X_OK)


def test_no_file_names_an_index():
    for name in OWN_FILES:
        found = re.search(
            r"(?i)https?:/{2}(?!127\.)|pypi[.]|anaconda[.]org|pytorch[.]org|-{2}(extra-)?index|ghcr[.]|mcr[.]",
            text(name),
        )
        assert found is None, f"{name}: {found}"


# make


def recipes() -> dict[str, tuple[str, str]]:
    """What each target needs, and what it runs."""
    found = re.findall(r"^([a-z-]+):(.*?)##.*\n((?:\t.*\n)*)", text("Makefile"), re.MULTILINE)
    return {target: (needs.strip(), body) for target, needs, body in found}


def test_every_target_that_runs_a_development_tool_installs_them():
    for target, (needs, body) in recipes().items():
        tools = re.search(r"AUTHORING|-m (pytest|uv|ruff|mypy)\b", body)
        assert not tools or needs == "dev", target
        assert not re.search(r"COURSE", body) or needs in ("dev", "install"), target
    assert recipes()["lab"][0] == "install" and recipes()["test"][0] == "dev"


def test_make_passes_on_what_was_asked_for():
    if shutil.which("make") is None:
        pytest.skip("no make on this machine")
    variables = {k: v for k, v in os.environ.items() if k not in ("PYTHON", "TORCH", "ARGS", "LESSON", "MFLAGS")}
    variables = {k: v for k, v in variables.items() if not k.startswith("MAKE")}

    def dry_run(*arguments: str) -> list[str]:
        command = ["make", "--no-print-directory", "--dry-run", *arguments]
        done = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, encoding="utf-8", check=True)
        return [" ".join(line.split()) for line in done.stdout.splitlines()]

    first, second = dry_run("test", "PYTHON=python3.12", "TORCH=cpu", "ARGS=tests/test_x.py -q")
    assert first == "python3.12 install.py --this-python --torch cpu --dev"
    assert second.endswith("python -m pytest tests/test_x.py -q")
    first, second = dry_run("lab", "ARGS=--no-browser")
    assert re.fullmatch(r"(python3|py) install\.py", first) and second.endswith("-m course_utils lab --no-browser")
    assert dry_run("run", "LESSON=03")[1].endswith("authoring run 03")


# install.py, in a folder of its own, with commands that only pretend

TINY_LOCK = "# a comment\ntorch==2.15.0\nuv==0.13.9 ; python_version >= '3.11'\n"
STEPS = ["-m venv", "ensurepip", "uv==", "--editable", "doctor"]


class Installer:
    """install.py loaded from a folder of its own. `steps` holds the commands it ran; `fails` makes one of them fail."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch):
        shutil.copy(ROOT / "install.py", folder)
        self.folder, self.lock = folder, folder / "requirements.lock"
        self.lock.write_text(TINY_LOCK, encoding="utf-8")
        (folder / "pyproject.toml").write_text('[project]\nname = "tiny"\n', encoding="utf-8")
        monkeypatch.delenv("COURSE_TORCH", raising=False)
        self.module = load(folder / "install.py")
        monkeypatch.setattr(self.module.subprocess, "call", self.call)
        self.steps: list[str] = []
        self.fails: dict[str, int | BaseException] = {}

    def call(self, command: list, **_) -> int:
        """In place of running a command: make what it would leave behind, as far as the next step looks at it."""
        step = " ".join(map(str, command))
        self.steps.append(step)
        for part, outcome in self.fails.items():
            if part in step:
                if isinstance(outcome, BaseException):
                    raise outcome
                return outcome
        if "-m venv" in step:
            venv.create(self.module.VENV, with_pip=False)
        return 0

    def __call__(self, *arguments: str) -> int:
        self.steps.clear()
        return self.module.main(list(arguments))

    @property
    def stamp(self) -> dict:
        return self.module.read_stamp()

    @property
    def remade(self) -> bool:
        return any("-m venv" in step for step in self.steps)


@pytest.fixture
def installer(tmp_path, monkeypatch) -> Installer:
    return Installer(tmp_path, monkeypatch)


def test_install_py_can_be_read_by_old_pythons():
    tree = ast.parse(text("install.py"), feature_version=(3, 6))
    with pytest.raises(SyntaxError):  # the check is able to fail
        ast.parse("(x := 1)", feature_version=(3, 6))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {alias.name if isinstance(x, ast.Import) else x.module for x in imports for alias in x.names}
    assert {name.split(".")[0] for name in names} <= sys.stdlib_module_names - {"tomllib"}


def test_a_first_install_does_all_steps_in_order_and_a_second_one_nothing(installer, capfd):
    assert installer() == 0
    assert [next(x for x in STEPS if x in step) for step in installer.steps] == STEPS
    assert f"pip install --python {installer.module.VENV_PYTHON}" in installer.steps[3]  # and in no other environment
    assert installer.stamp["state"] == "installed" and "The environment is ready" in capfd.readouterr().out
    installer.module.check_python = lambda *_: pytest.fail("nothing is to be done")
    assert installer() == 0
    assert installer.steps == [] and capfd.readouterr() == ("", "")


def test_the_development_tools_come_when_asked_for_and_stay(installer):
    installer()
    assert not any("--group=dev" in step for step in installer.steps)
    assert installer("--dev") == 0 and any("--group=dev" in step for step in installer.steps) and not installer.remade
    assert installer() == 0 and installer.steps == []
    installer.lock.write_text(TINY_LOCK + "extra==1\n", encoding="utf-8")
    assert installer() == 0 and any("--group=dev" in step for step in installer.steps)


@pytest.mark.parametrize("name", ["requirements.lock", "pyproject.toml"])
def test_a_change_installs_again_into_the_same_environment(installer, name):
    installer()
    with (installer.folder / name).open("a", encoding="utf-8") as file:
        file.write("# changed\n")
    assert installer() == 0 and installer.steps and not installer.remade
    assert installer() == 0 and installer.steps == []


@pytest.mark.parametrize("step", ["-m venv", "uv==", "--editable", "doctor"])
@pytest.mark.parametrize("outcome", [KeyboardInterrupt(), 2], ids=["stopped", "failed"])
def test_an_install_that_was_cut_off_is_taken_up_again(installer, capfd, step, outcome):
    installer.fails = {step: outcome}
    assert installer("--torch", "cpu") == (1 if outcome == 2 else 130)
    told = capfd.readouterr().err
    assert "problem" in told if (step, outcome) == ("doctor", 2) else "un the same command again" in told
    assert installer.stamp.get("state") != "installed"
    installer.fails = {}
    assert installer("--torch", "cpu") == 0
    assert installer.stamp["state"] == "installed" and installer.remade == (step == "-m venv")


def test_an_interrupt_during_a_later_change_makes_the_old_stamp_invalid(installer):
    installer("--dev")
    installer.lock.write_text(TINY_LOCK + "extra==1\n", encoding="utf-8")
    installer.fails = {"--editable": KeyboardInterrupt()}
    installer()
    installer.lock.write_text(TINY_LOCK, encoding="utf-8")  # the lock of the first install: packages are half changed
    installer.fails = {}
    assert installer() == 0 and any("--group=dev" in step for step in installer.steps)


# What stands in the way, and what it says


def stopped(installer: Installer, capfd, *arguments: str) -> str:
    assert installer(*arguments) == 1
    assert installer.stamp.get("state") != "installed"
    told = capfd.readouterr().err
    assert told.startswith("\ninstall.py: ") and "Traceback" not in told
    return told


@pytest.mark.parametrize(
    "present, action", [(None, "Install Python 3.11, 3.12 or"), ("python3.12", "run `make lab PYTHON=python3.12`")]
)
def test_python_too_old(installer, capfd, monkeypatch, present, action):
    monkeypatch.setattr(installer.module, "said", lambda command: "Python" if command[0] == present else "")
    monkeypatch.setattr(installer.module.sys, "version_info", (3, 8, 18))
    told = stopped(installer, capfd)
    assert "Python 3.11 or newer is needed, this is 3.8." in told and action in told
    assert installer.steps == []


@pytest.mark.parametrize("version, told", [((3, 14, 0), True), ((3, 13, 9), False)])
def test_a_newer_python_is_told_so_and_goes_on(installer, capfd, version, told):
    installer.module.check_python(version)
    assert ("make lab PYTHON=python3.13" in capfd.readouterr().out) is told


@pytest.mark.parametrize("missing", ["venv", "ensurepip"])
def test_python_without_venv(installer, capfd, monkeypatch, missing):
    real = importlib.util.find_spec
    finds = lambda name, *rest: None if name == missing else real(name, *rest)  # noqa: E731
    monkeypatch.setattr(installer.module.importlib.util, "find_spec", finds)
    package = "python{}.{}-venv".format(*sys.version_info[:2])
    told = stopped(installer, capfd)
    assert f"module {missing}" in told and f"sudo apt install {package}" in told


@pytest.mark.parametrize("free, action", [(60e9, "Check the network"), (0.4e9, "The disk has 0.4 GB left")])
def test_a_failed_step_says_what_to_try(installer, capfd, monkeypatch, free, action):
    monkeypatch.setattr(installer.module.shutil, "disk_usage", lambda path: Usage(0, 0, free))
    installer.fails = {"--editable": 2}
    told = stopped(installer, capfd)
    assert action in told and "its own words are above" in told


def test_a_folder_that_cannot_be_written_to_gets_a_sentence(installer, capfd, monkeypatch):
    def denied(*_):
        raise PermissionError(13, "Permission denied", str(installer.folder / ".venv"))

    monkeypatch.setattr(installer.module, "write_stamp", denied)
    told = stopped(installer, capfd)
    assert "Permission denied" in told and "folder of your own" in told


def test_the_real_uv_without_a_network_shows_its_own_words_and_a_sentence(tmp_path):
    for name in ("install.py", "requirements.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    venv.create(tmp_path / ".venv", with_pip=False)
    module = load(tmp_path / "install.py")
    shutil.copy(uv.find_uv_bin(), module.VENV_UV)
    variables = {**os.environ, "UV_OFFLINE": "1", "UV_CACHE_DIR": str(tmp_path / "empty")}
    command = [sys.executable, "install.py"]
    done = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, encoding="utf-8", timeout=120)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "network" in done.stderr.partition("install.py: ")[0]  # uv's words
    assert "its own words are above" in done.stderr and module.read_stamp()["state"] == "installing"


def test_the_user_s_own_settings_do_not_reach_the_steps(installer, monkeypatch):
    dropped = {"PYTHONDONTWRITEBYTECODE", "PIP_USER", "PYTHONPATH", "VIRTUAL_ENV", "UV_SYSTEM_PYTHON"}
    for name in dropped:
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("UV_HTTP_TIMEOUT", "7")
    variables = installer.module.environment()
    assert not dropped & set(variables) and variables["UV_HTTP_TIMEOUT"] == "7"


# An environment that is there already


def test_a_folder_that_is_not_an_environment_is_left_alone(installer, capfd):
    kept = installer.folder / ".venv" / "mine.txt"
    kept.parent.mkdir()
    kept.write_text("mine", encoding="utf-8")
    assert "is not a Python environment" in stopped(installer, capfd)
    assert kept.read_text(encoding="utf-8") == "mine"


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege on Windows")
def test_a_link_is_not_followed_for_removing(installer, capfd):
    elsewhere = installer.folder / "elsewhere"
    venv.create(elsewhere, with_pip=False)
    shutil.rmtree(elsewhere / "bin")
    (installer.folder / ".venv").symlink_to(elsewhere)
    assert "is a link or a file" in stopped(installer, capfd)
    assert (elsewhere / "pyvenv.cfg").exists()


def moved(installer: Installer) -> None:
    installer.module.write_stamp({**installer.stamp, "root": str(installer.folder / "before")})


@pytest.mark.parametrize(
    "damage, arguments",
    [
        (lambda i: i.module.VENV_PYTHON.unlink(), []),
        (moved, []),
        (lambda i: None, ["--torch", "cpu"]),
        (lambda i: setattr(i.module, "said", lambda command: "3.99"), ["--this-python"]),
        (lambda i: (i.module.STAMP.unlink(), setattr(i.module, "said", lambda command: "")), []),
    ],
    ids=["no Python", "moved", "another torch", "another Python", "a Python that does not run"],
)
def test_an_environment_that_cannot_serve_is_made_again(installer, damage, arguments):
    installer()
    (installer.module.VENV / "old.txt").touch()
    damage(installer)
    assert installer(*arguments) == 0 and installer.remade
    assert not (installer.module.VENV / "old.txt").exists()


def test_an_environment_that_runs_is_kept(installer, monkeypatch):
    venv.create(installer.module.VENV, with_pip=False)
    assert installer() == 0 and not installer.remade
    monkeypatch.setattr(installer.module, "said", lambda command: "3.99")  # only --this-python replaces a Python
    assert installer() == 0 and installer.steps == []


def test_the_choice_of_torch_is_kept_until_another_is_made(installer, monkeypatch, capfd):
    monkeypatch.setenv("COURSE_TORCH", "cpu")
    assert installer() == 0 and any("--torch-backend=cpu" in step for step in installer.steps)
    monkeypatch.delenv("COURSE_TORCH")
    assert installer("--dev") == 0 and any("--torch-backend=cpu" in step for step in installer.steps)
    assert installer("--torch", "default") == 0 and installer.remade
    assert not any("--torch-backend" in step for step in installer.steps)
    monkeypatch.setenv("COURSE_TORCH", "gpu")
    with pytest.raises(SystemExit):
        installer()
    assert "set it to cpu or default" in capfd.readouterr().err


def test_an_environment_is_not_removed_from_inside(installer, capfd, monkeypatch):
    installer()
    monkeypatch.setattr(installer.module.sys, "prefix", str(installer.module.VENV))
    assert installer("--torch", "cpu") == 1
    assert "deactivate" in capfd.readouterr().err and installer.module.VENV_PYTHON.exists()


# For real, where it is asked for

LEARNER = """
import importlib.util, subprocess, sys, torch, course_utils
dev = [name for name in ("nbval", "ruff", "playwright", "mypy", "xdist") if importlib.util.find_spec(name)]
assert not dev, dev
course = [sys.executable, "-m", "course_utils"]
for command in (["doctor"], ["status"], ["reset", "01"], ["hint", "01.1"], ["lab", "--version"]):
    subprocess.run(course + command, check=True)
notebook = "solutions/08_parity_checks.ipynb"  # 08.4 runs pytest inside its check
subprocess.run([sys.executable, "-m", "jupyter", "execute", "--inplace", notebook], check=True)
assert "✓ 08.4" in open(notebook, encoding="utf-8").read()
print("as locked:", torch.__version__.partition("+")[0], course_utils.__file__)
"""


@pytest.mark.skipif(
    not os.environ.get("COURSE_TEST_INSTALL"), reason="set COURSE_TEST_INSTALL=1: it makes a whole environment"
)
def test_a_learner_s_environment_is_enough_for_a_learner(tmp_path):
    """By links into uv's cache, where `make test` left what it downloaded; the network only fills in the rest."""
    for name in ("pyproject.toml", "requirements.lock", "install.py", "course.toml", "README.md"):
        shutil.copy(ROOT / name, tmp_path)
    for path in ROOT.glob("LICENSE*"):
        shutil.copy(path, tmp_path)
    for name in ("course_utils", "notebooks", "exercises", "solutions"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", "kept"))
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "COURSE_ROOT"))}
    variables["UV_LINK_MODE"] = "symlink"
    done = subprocess.run([sys.executable, "install.py"], cwd=tmp_path, env=variables, timeout=900)
    assert done.returncode == 0
    python = tmp_path / ".venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    (tmp_path / "learner.py").write_text(LEARNER, encoding="utf-8")
    done = subprocess.run(
        [python, "learner.py"], cwd=tmp_path, env=variables, capture_output=True, encoding="utf-8", timeout=900
    )
    assert done.returncode == 0, done.stdout + done.stderr
    version, place = done.stdout.rpartition("as locked: ")[2].split(maxsplit=1)
    assert version == doctor.locked_versions(text("requirements.lock"))["torch"]
    assert Path(place.strip()).resolve() == (tmp_path / "course_utils" / "__init__.py").resolve()


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
