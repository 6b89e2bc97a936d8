"""Make the course's environment in .venv: the packages of requirements.lock and the course itself, then a check.

    python install.py               what a learner needs (`make lab`)
    python install.py --dev         and what it takes to test and change the course (`make test`)
    python install.py --torch cpu   PyTorch without the CUDA libraries, which only Linux wheels bring: 2 GB instead of 7

Standard library only, and Python 3.6 syntax, so that an old interpreter gets a sentence and not a SyntaxError.
An install that was stopped goes on at the next call; a call with nothing to do returns at once.
"""

import argparse
import hashlib
import importlib.util
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
WINDOWS = os.name == "nt"
VENV_PYTHON = VENV / ("Scripts/python.exe" if WINDOWS else "bin/python")
VENV_UV = VENV / ("Scripts/uv.exe" if WINDOWS else "bin/uv")
STAMP = VENV / "course-install.json"
RECIPE = 2  # raise it when the steps below change, so that every environment is brought up to date

OLDEST = (3, 11)
NEWEST = (3, 13)  # the stored outputs of the lessons are proven up to here

# What a user's own settings must not change: where packages go, and whether they are compiled.
SETTINGS_TO_DROP = (
    *("PYTHONDONTWRITEBYTECODE", "PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV"),
    *("PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PIP_REQUIRE_HASHES"),
    *("UV_SYSTEM_PYTHON", "UV_TARGET", "UV_PREFIX", "UV_REQUIRE_HASHES", "UV_OVERRIDE", "UV_CONSTRAINT"),
)


class Stop(Exception):
    """The install cannot go on. The text says what is wrong and what to do next."""


def main(arguments: list) -> int:
    """Bring .venv up to date. Returns the exit code: 0 done, 1 stopped with a reason, 130 interrupted."""
    options = parse(arguments)
    stamp = read_stamp()
    try:
        if not is_current(stamp, options):
            install(options, stamp)
    except KeyboardInterrupt:
        sys.stderr.write("\ninstall.py: stopped. Run the same command again: it goes on where it was.\n")
        return 130
    except (Stop, OSError) as problem:
        advice = "" if isinstance(problem, Stop) else "\n" + what_to_try()
        sys.stdout.flush()
        sys.stderr.write(f"\ninstall.py: {problem}{advice}\n")
        return 1
    return 0


def parse(arguments: list) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="install.py", description=__doc__.split("\n")[0])
    parser.add_argument("--dev", action="store_true", help="also what it takes to test and change the course")
    parser.add_argument(
        "--torch",
        choices=["default", "cpu"],
        default=os.environ.get("COURSE_TORCH") or None,
        help="cpu: PyTorch without CUDA (matters on Linux only). Kept until you choose again. Also: COURSE_TORCH=cpu",
    )
    parser.add_argument(
        "--this-python",
        action="store_true",
        help="make .venv again if it was made with another Python version than the one running this",
    )
    options = parser.parse_args(arguments)
    if options.torch not in (None, "default", "cpu"):  # argparse does not check a default
        parser.error(f"COURSE_TORCH is {options.torch!r}: set it to cpu or default, or unset it")
    return options


def install(options: argparse.Namespace, stamp: dict) -> None:
    """All steps, in order. The stamp is written last, so that an install that was cut off is taken up again."""
    torch = options.torch or stamp.get("torch") or "default"
    dev = options.dev or bool(stamp.get("dev"))  # what is there is kept up to date
    remake = reason_to_remake(options, stamp, torch)
    if remake or not VENV_PYTHON.exists():
        check_python(sys.version_info)
        if remake:
            remove_venv(remake)
        step(f"make .venv with Python {platform.python_version()}", [sys.executable, "-m", "venv", str(VENV)])
    new = {"state": "installing", "torch": torch, "dev": dev, "root": str(ROOT), "key": key()}
    write_stamp(new)

    uv = locked_version("uv")
    if not said([str(VENV_UV), "--version"]).startswith(f"uv {uv} "):
        if not said([str(VENV_PYTHON), "-m", "pip", "--version"]):
            step("give .venv its pip", [str(VENV_PYTHON), "-m", "ensurepip", "--upgrade"])
        pip = [str(VENV_PYTHON), "-m", "pip", "--disable-pip-version-check", "install", "--quiet", f"uv=={uv}"]
        step(f"get the installer uv {uv}", pip)
    size = "2.5 GB" if torch == "default" and sys.platform.startswith("linux") else "0.5 GB"
    step(f"install the packages and the course (about {size} to download the first time)", packages(torch, dev))
    step("check the environment", [str(VENV_PYTHON), "-m", "course_utils", "doctor"])
    write_stamp(dict(new, state="installed"))
    print("The environment is ready.", flush=True)


def packages(torch: str, dev: bool) -> list:
    """The command that brings the packages and the course. It adds and exchanges; it removes nothing.

    The lock only limits the versions: it also names the CUDA libraries and the development tools, which not everybody
    gets. uv knows where PyTorch keeps its builds without CUDA.
    """
    command = [str(VENV_UV), "pip", "install", "--python", str(VENV_PYTHON), "--compile-bytecode"]
    command += ["--constraints=requirements.lock", "--editable=.[course]"]
    return command + ["--group=dev"] * dev + ["--torch-backend=cpu"] * (torch == "cpu")


# Is there anything to do?


def is_current(stamp: dict, options: argparse.Namespace) -> bool:
    return (
        stamp.get("state") == "installed"
        and stamp.get("key") == key()
        and (stamp.get("dev") or not options.dev)
        and VENV_PYTHON.exists()
        and not reason_to_remake(options, stamp, options.torch or stamp.get("torch"))
    )


def key() -> str:
    """What the environment is made from."""
    parts = [str(RECIPE), read("requirements.lock"), read("pyproject.toml")]
    return hashlib.sha256("\0".join(parts).encode("utf-8")).hexdigest()


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def locked_version(name: str) -> str:
    found = re.search(rf"^{re.escape(name)}==([^\s;]+)", read("requirements.lock"), re.MULTILINE)
    if not found:
        raise Stop(f"requirements.lock names no version of {name}. Run: git checkout requirements.lock")
    return found.group(1)


def read_stamp() -> dict:
    try:
        stamp = json.loads(STAMP.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


def write_stamp(stamp: dict) -> None:
    """In one move, so that no reader ever sees half of it."""
    draft = STAMP.with_suffix(".draft")
    draft.write_text(json.dumps(stamp, indent=1) + "\n", encoding="utf-8")
    os.replace(str(draft), str(STAMP))


def reason_to_remake(options: argparse.Namespace, stamp: dict, torch: str) -> str:
    """Why .venv has to be made again from nothing, or an empty text."""
    if not VENV.exists():
        return ""
    if not VENV_PYTHON.exists():
        return "its Python is missing"
    if stamp.get("root", str(ROOT)) != str(ROOT):
        return f"it was made in another folder, {stamp['root']}"
    if stamp.get("torch", torch) != torch:
        return f"PyTorch changes from {stamp['torch']} to {torch}"
    if stamp.get("state") == "installed" and not options.this_python:
        return ""
    version = said([str(VENV_PYTHON), "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]).strip()
    if not version:
        return "its Python does not run"
    if tuple(map(int, version.split("."))) < OLDEST:
        return f"its Python is {version}, too old"
    wanted = "{}.{}".format(*sys.version_info[:2])
    if options.this_python and version != wanted:
        return f"its Python is {version}, and you ask for {wanted}"
    return ""


def remove_venv(reason: str) -> None:
    """Remove .venv, if it is an environment, is not a link, and is not the one this program runs in."""
    print(f"  .venv is made again: {reason}", flush=True)
    again = "then run the same command again."
    if VENV.is_symlink() or not VENV.is_dir():
        raise Stop(f"{VENV} is a link or a file, and {reason}. Move it away, {again}")
    if not (VENV / "pyvenv.cfg").exists() and any(not path.is_dir() for path in VENV.rglob("*")):
        raise Stop(f"{VENV} is not a Python environment (it has no pyvenv.cfg), so it stays. Move it away, {again}")
    if Path(sys.prefix).resolve() == VENV.resolve():
        raise Stop(f"this program runs in .venv. Type `deactivate` or open a new terminal, {again}")
    try:
        shutil.rmtree(str(VENV))
    except OSError as error:
        raise Stop(f".venv cannot be removed: {error}\nClose JupyterLab and what else uses it, {again}") from None


def check_python(version) -> None:
    """Stop unless this is a 64-bit CPython that is new enough and can make an environment."""
    number = f"{version[0]}.{version[1]}"
    choose = "run `make lab PYTHON=python3.12` or `python3.12 install.py`."
    if tuple(version[:2]) < OLDEST:
        found = [name for name in ("python3.13", "python3.12", "python3.11") if said([name, "--version"])]
        action = (
            f"{found[0]} is here: {choose.replace('python3.12', found[0])}"
            if found
            else (
                f"Install Python 3.11, 3.12 or 3.13 (python.org, your system's packages, conda or pyenv), then {choose}"
            )
        )
        raise Stop(f"Python 3.11 or newer is needed, this is {number}.\n{action}")
    if platform.python_implementation() != "CPython" or sys.maxsize < 2**32:
        raise Stop(f"PyTorch is built for 64-bit CPython, and this is not one. Install it, then {choose}")
    missing = [name for name in ("venv", "ensurepip") if importlib.util.find_spec(name) is None]
    if missing:
        raise Stop(
            f"this Python comes without its module {missing[0]}, so it cannot make an environment.\n"
            f"On Debian or Ubuntu: sudo apt install python{number}-venv\n"
            "Elsewhere: install Python from python.org. Then run the same command again."
        )
    if tuple(version[:2]) > NEWEST:
        print(
            f"Note: this is Python {number}. The lessons' outputs are proven on 3.11 to 3.13,\n"
            "and torch.jit says that it is not supported from 3.14 on. For the proven way: make lab PYTHON=python3.13",
            flush=True,
        )


# Running one step


def step(title: str, command: list) -> None:
    """Run one command, which shows its own progress and says itself what went wrong."""
    print(f"- {title}", flush=True)
    if subprocess.call(command, cwd=str(ROOT), env=environment()) == 0:
        return
    if command[-1] == "doctor":
        raise Stop("the packages are installed, but the check above found a problem. Do what it says.")
    raise Stop(f"the step `{title}` failed; its own words are above.\n{what_to_try()}")


def what_to_try() -> str:
    free = shutil.disk_usage(str(ROOT)).free / 1e9
    if free < 1:
        uv = VENV_UV.relative_to(ROOT)
        return (
            f"The disk has {free:.1f} GB left. Make room (`{uv} cache clean` empties uv's cache), then run it again.\n"
            "On Linux the course needs 7 GB, without CUDA 2 GB: make lab TORCH=cpu, or python3 install.py --torch cpu."
        )
    return (
        "No connection? Check the network; behind a proxy, set HTTPS_PROXY. A folder that cannot be written to? Copy\n"
        "the course to a folder of your own. Then run the same command again: what was downloaded is kept."
    )


def said(command: list) -> str:
    """What a command prints; nothing if it does not run."""
    try:
        output = subprocess.check_output(command, stderr=subprocess.DEVNULL, env=environment())
    except (OSError, subprocess.CalledProcessError):
        return ""
    return output.decode("utf-8", "replace")


def environment() -> dict:
    """The environment variables for the steps."""
    variables = {name: value for name, value in os.environ.items() if name not in SETTINGS_TO_DROP}
    variables.setdefault("UV_HTTP_TIMEOUT", "120")  # one wheel has 0.5 GB; uv's 30 s are short on a slow line
    return variables


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
