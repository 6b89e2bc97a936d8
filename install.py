"""Make the course's environment in .venv: the packages of requirements.lock, then the course itself, then a check.

    python install.py               what `make lab` and `make test` call first
    python install.py --torch cpu   Linux only: PyTorch without the CUDA libraries, 2 GB on disk in place of 7

Standard library only, and Python 3.6 syntax, so that an old interpreter gets a sentence and not a SyntaxError.
An install that was stopped goes on at the next call; a call with nothing to do returns at once.
"""

import argparse
import contextlib
import errno
import hashlib
import importlib.util
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
WINDOWS = os.name == "nt"
VENV_PYTHON = VENV / ("Scripts/python.exe" if WINDOWS else "bin/python")
VENV_UV = VENV / ("Scripts/uv.exe" if WINDOWS else "bin/uv")
STAMP = VENV / "course-install.json"
RECIPE = 1  # raise it when the steps below change, so that every environment is brought up to date

OLDEST = (3, 11)
NEWEST = (3, 13)  # the stored outputs of the lessons are proven up to here

# Measured with torch 2.15.0: 6.3 GB with the CUDA libraries, which only Linux wheels bring; 1.6 GB without.
# uv's cache holds the same files as hard links, so it costs nothing more on the same file system.
GIGABYTE = 10**9
SPACE_CUDA = 7 * GIGABYTE
SPACE_CPU = 2 * GIGABYTE
SPACE_SPARE = GIGABYTE // 2  # an environment that is complete still needs room to exchange a package

# What a user's own settings must not change: where packages go, and whether they are compiled.
SETTINGS_TO_DROP = (
    *("PYTHONDONTWRITEBYTECODE", "PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV"),
    *("PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PIP_REQUIRE_HASHES"),
    *("UV_SYSTEM_PYTHON", "UV_TARGET", "UV_PREFIX", "UV_REQUIRE_HASHES", "UV_OVERRIDE", "UV_CONSTRAINT"),
)


class Stop(Exception):
    """The install cannot go on. The text says what is wrong and what to do next."""


class StepFailed(Exception):
    """A command ended with an error; `words` is what it printed."""

    def __init__(self, words: str):
        super().__init__(words)
        self.words = words


def main(arguments: list) -> int:
    """Bring .venv up to date. Returns the exit code: 0 done, 1 stopped with a reason, 130 interrupted."""
    options = parse(arguments)
    try:
        if is_current(read_stamp(), options):
            return 0
        with one_at_a_time():
            stamp = read_stamp()
            if not is_current(stamp, options):  # another process may have done it while this one waited
                install(options, stamp)
    except Stop as stop:
        sys.stdout.flush()
        sys.stderr.write(f"\ninstall.py: {stop}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("\ninstall.py: stopped. Run the same command again: it goes on where it was.\n")
        return 130
    return 0


def parse(arguments: list) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="install.py", description=__doc__.split("\n")[0])
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
    remake = reason_to_remake(options, stamp, torch)
    if remake or not VENV_PYTHON.exists():
        check_python(sys.version_info)
        check_modules()
    check_space(torch)

    began = time.time()
    if remake:
        remove_venv(remake)
    if not VENV_PYTHON.exists():
        say_version_is_new(sys.version_info)
        step(f"make .venv with Python {platform.python_version()}", [sys.executable, "-m", "venv", str(VENV)])
    write_stamp({"state": "installing", "torch": torch, "root": str(ROOT)})

    uv = locked_version("uv")
    if not runs([str(VENV_UV), "--version"], f"uv {uv}"):
        if not runs([str(VENV_PYTHON), "-m", "pip", "--version"]):
            step("give .venv its pip", [str(VENV_PYTHON), "-m", "ensurepip", "--upgrade"])
        pip = [str(VENV_PYTHON), "-m", "pip", "--disable-pip-version-check", "install", "--quiet", f"uv=={uv}"]
        step(f"get the installer uv {uv}", pip)
    size = "about 2.5 GB to download the first time" if needs_cuda(torch) else "about 0.5 GB to download the first time"
    step(f"install {len(locked_names())} packages ({size})", packages_command(torch), bars=True)
    course = uv_pip("install", "--no-deps", "--editable", str(ROOT))
    step("install the course itself", course)
    step("check the environment", [str(VENV_PYTHON), "-m", "course_utils", "doctor"], is_check=True)

    python = subprocess.check_output(
        [str(VENV_PYTHON), "-c", "import platform; print(platform.python_version())"], env=environment()
    )
    write_stamp(
        {
            "state": "installed",
            "torch": torch,
            "root": str(ROOT),
            "python": python.decode("ascii").strip(),
            "key": key(),
        }
    )
    print(f"The environment is ready ({seconds(began)}).", flush=True)


def uv_pip(verb: str, *arguments: str) -> list:
    """`uv pip …` for .venv and no other environment, whichever one is active."""
    return [str(VENV_UV), "pip", verb, "--python", str(VENV_PYTHON), *arguments]


def packages_command(torch: str) -> list:
    """The command that brings the packages.

    The lock names the CUDA libraries as packages of their own. Without CUDA it therefore only *limits* the versions,
    and the packages asked for are the direct ones; uv knows where PyTorch keeps its builds without CUDA.
    """
    if torch == "cpu":
        return uv_pip(
            "install",
            "--compile-bytecode",
            "--torch-backend=cpu",
            "--requirements=pyproject.toml",
            "--all-extras",
            "--group=dev",
            "--constraints=requirements.lock",
        )
    return uv_pip("sync", "--compile-bytecode", "requirements.lock")


# Is there anything to do?


def is_current(stamp: dict, options: argparse.Namespace) -> bool:
    return (
        stamp.get("state") == "installed"
        and stamp.get("key") == key()
        and VENV_PYTHON.exists()
        and not reason_to_remake(options, stamp, options.torch or stamp.get("torch"))
    )


def key() -> str:
    """What the environment is made from: the lock, the parts of pyproject.toml about installing, and the place."""
    parts = [str(RECIPE), str(ROOT), read("requirements.lock"), installing_sections(read("pyproject.toml"))]
    return hashlib.sha256("\0".join(parts).encode("utf-8")).hexdigest()


def installing_sections(pyproject: str) -> str:
    """The tables about installing; a change to the test settings is no reason to install."""
    kept, keeping = [], False
    for line in pyproject.splitlines():
        header = re.match(r"\[+\s*([\w.-]+)", line)
        if header:
            keeping = bool(re.match(r"(project|dependency-groups|build-system|tool\.uv)(\.|$)", header.group(1)))
        if keeping:
            kept.append(line)
    return "\n".join(kept)


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
    version = venv_version()
    if version is None:
        return "its Python does not run"
    if version < OLDEST:
        return "its Python is {}.{}, too old".format(*version)
    if options.this_python and version != tuple(sys.version_info[:2]):
        return "its Python is {}.{}, and you ask for {}.{}".format(*(version + tuple(sys.version_info[:2])))
    return ""


def venv_version():
    """(major, minor) of .venv's Python, or None when it does not run."""
    command = [str(VENV_PYTHON), "-c", "import sys; print(*sys.version_info[:2])"]
    try:
        words = subprocess.check_output(command, stderr=subprocess.DEVNULL, env=environment()).split()
        return int(words[0]), int(words[1])
    except (OSError, subprocess.CalledProcessError, ValueError, IndexError):
        return None


def remove_venv(reason: str) -> None:
    """Remove .venv, if it is an environment, is not a link, and is not the one this program runs in."""
    if VENV.is_symlink() or not VENV.is_dir():
        raise Stop(f"{VENV} is a link or a file, and {reason}. Move it away, then run the same command again.")
    files = (path for path in VENV.rglob("*") if not path.is_dir())
    if not (VENV / "pyvenv.cfg").exists() and any(files):
        raise Stop(
            f"{VENV} is there but is no Python environment (it has no pyvenv.cfg), so it is left alone.\n"
            "Move it away, then run the same command again."
        )
    if Path(sys.prefix).resolve() == VENV.resolve():
        raise Stop(
            f".venv has to be made again ({reason}), and this program runs in it.\n"
            "Type `deactivate` or open a new terminal, then run the same command again."
        )
    print(f"  .venv is made again: {reason}", flush=True)
    try:
        shutil.rmtree(str(VENV))
    except OSError as error:
        raise Stop(
            f".venv has to be made again ({reason}), but it cannot be removed: {error}\n"
            "Close JupyterLab and every program that uses it, remove the folder .venv, then run the same command again."
        ) from None


# What has to be there before anything is installed


def check_python(version) -> None:
    """Stop unless this is a 64-bit CPython that is new enough."""
    if tuple(version[:2]) < OLDEST:
        found = [name for name in ("python3.13", "python3.12", "python3.11") if runs([name, "--version"], "Python")]
        if found:
            action = f"{found[0]} is here: run `make lab PYTHON={found[0]}` or `{found[0]} install.py`."
        else:
            action = (
                "Install Python 3.11, 3.12 or 3.13 (python.org, your system's packages, conda or pyenv),\n"
                "then run `make lab PYTHON=python3.12` or `python3.12 install.py`."
            )
        raise Stop(f"Python 3.11 or newer is needed, this is {version[0]}.{version[1]}.\n{action}")
    if platform.python_implementation() != "CPython" or sys.maxsize < 2**32:
        raise Stop(
            f"PyTorch is built for 64-bit CPython, this is {platform.architecture()[0]} "
            f"{platform.python_implementation()}.\n"
            "Install Python 3.12, 64-bit, and run `make lab PYTHON=` with its name or path."
        )


def say_version_is_new(version) -> None:
    if tuple(version[:2]) > NEWEST:
        print(
            f"Note: this is Python {version[0]}.{version[1]}. The lessons' outputs are proven on 3.11 to 3.13,\n"
            "and torch.jit says that it is not supported from 3.14 on. For the proven way: make lab PYTHON=python3.13",
            flush=True,
        )


def check_modules() -> None:
    missing = [name for name in ("venv", "ensurepip") if importlib.util.find_spec(name) is None]
    if missing:
        package = "python{}.{}-venv".format(*sys.version_info[:2])
        raise Stop(
            f"this Python comes without its module {missing[0]}, so it cannot make an environment.\n"
            f"On Debian or Ubuntu: sudo apt install {package}\n"
            "Elsewhere: install Python from python.org. Then run the same command again."
        )


def needs_cuda(torch: str) -> bool:
    return torch != "cpu" and sys.platform.startswith("linux")


def check_space(torch: str) -> None:
    """Stop when the disk cannot hold what is still missing. COURSE_SKIP_DISK_CHECK=1 goes on all the same."""
    if os.environ.get("COURSE_SKIP_DISK_CHECK"):
        return
    whole = SPACE_CUDA if needs_cuda(torch) else SPACE_CPU
    needed = max(whole - folder_size(VENV), SPACE_SPARE)
    free = shutil.disk_usage(str(ROOT)).free
    if free < needed:
        raise Stop(space_words(f"{needed / GIGABYTE:.1f} GB are needed in {ROOT}, {free / GIGABYTE:.1f} GB are free."))


def space_words(fact: str) -> str:
    words = [
        f"the disk is too small: {fact}",
        f"Make room, then run it again. One way: `{VENV_UV.relative_to(ROOT)} cache clean` empties uv's cache.",
    ]
    if sys.platform.startswith("linux"):
        words.append("Without CUDA 2 GB are enough: make lab TORCH=cpu, or python3 install.py --torch cpu.")
    words.append("If uv's cache already holds the packages, less is needed: COURSE_SKIP_DISK_CHECK=1 tries it.")
    return "\n".join(words)


def folder_size(folder: Path) -> int:
    """Bytes of the files below a folder."""
    total = 0
    for place, _, names in os.walk(str(folder)):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(place, name)).st_size
    return total


@contextlib.contextmanager
def one_at_a_time():
    """Hold the folder's install lock; wait for another install that holds it. The system frees it if we are killed."""
    try:
        handle = open(str(ROOT / ".venv.lock"), "a")  # noqa: SIM115  closed below, after the lock
    except OSError as error:
        raise Stop(
            f"the folder {ROOT} cannot be written to ({error.strerror}).\n"
            "Copy the course to a folder of your own, such as your home folder, and run the command there."
        ) from None
    try:
        told = False
        while not take(handle):
            if not told:
                print("Another install is running in this folder: waiting for it to end (Ctrl-C stops this one).")
                sys.stdout.flush()
                told = True
            time.sleep(0.3)
        yield
    finally:
        handle.close()


def take(handle) -> bool:
    """Try to lock an open file. False: another process has it."""
    try:
        if WINDOWS:
            import msvcrt

            handle.seek(0)
            msvcrt.locking(handle.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(handle.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        # Some network file systems have no locks; then there is nothing to wait for.
        return error.errno not in (errno.EACCES, errno.EAGAIN, errno.EWOULDBLOCK, errno.EDEADLK)
    return True


# Running one step


def step(title: str, command: list, bars: bool = False, is_check: bool = False) -> None:
    """Run one command, show what it prints and how long it took.

    With `bars`, on a terminal, the command draws its own progress bars and nobody reads along. If it fails, it is run
    once more without them: a short network failure is over by then, and a lasting one leaves its words to be read.

    Raises:
        Stop: the command failed; the text says why, as far as its words tell, and what to do.
    """
    began = time.time()
    print(f"- {title}", flush=True)
    try:
        if bars and sys.stdout.isatty() and sys.stderr.isatty():
            if subprocess.call(command, cwd=str(ROOT), env=environment()) != 0:
                print("  That failed; once more:", flush=True)
                run(command)
        else:
            run(command)
    except StepFailed as failure:
        if is_check:
            raise Stop("the packages are installed, but the check above found a problem. Do what it says.") from None
        raise Stop(explain(title, failure.words)) from None
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise Stop(space_words("no space is left.")) from None
        raise Stop(f"the step `{title}` could not start: {error}\nRemove the folder .venv and run it again.") from None
    print(f"  done in {seconds(began)}", flush=True)


def run(command: list) -> None:
    """Run a command, pass its lines on as they come, and raise StepFailed with all of them when it fails."""
    words = []
    encoding = sys.stdout.encoding or "ascii"
    with subprocess.Popen(
        command, cwd=str(ROOT), env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        try:
            for line in process.stdout:
                words.append(line.decode("utf-8", "replace"))
                print("  " + words[-1].rstrip().encode(encoding, "replace").decode(encoding), flush=True)
            code = process.wait()
        except BaseException:
            # Ctrl-C reaches the command too; leave only when it has ended, so that it does not go on behind our back.
            process.terminate()
            process.wait()
            raise
    if code != 0:
        raise StepFailed("".join(words))


def runs(command: list, expected: str = "") -> bool:
    """Whether a command runs and, if asked, its output starts with the expected words."""
    try:
        words = subprocess.check_output(command, stderr=subprocess.STDOUT, env=environment()).decode("utf-8", "replace")
    except (OSError, subprocess.CalledProcessError):
        return False
    return (words.strip() + " ").startswith(expected + " " if expected else "")


# What pip and uv write, in lower case, and what it means. The first that fits is told, so the special come first.
TROUBLES = [
    (
        "disk",
        r"no space left|os error 28\b|errno 28\b|not enough space|os error 112\b|quota exceeded|os error 122\b",
        "",
    ),
    (
        "certificate",
        r"certificate_verify_failed|invalid peer certificate|unknownissuer|self.signed certificate",
        "the secure connection to the package index is refused: your network uses a certificate of its own.\n"
        "Point SSL_CERT_FILE and PIP_CERT to that certificate (ask your network's administrator), then run it again.",
    ),
    (
        "platform",
        r"has no wheels|no matching distribution found for torch|have a source distribution or wheel for the current",
        "a package, named above, has no build for this machine and this Python. PyTorch is built for 64-bit Linux\n"
        "(glibc), 64-bit Windows and Macs with Apple silicon, Python 3.11 to 3.13. Use one of these, or Codespaces.",
    ),
    (
        "network",
        r"dns error|error sending request|client error \(connect\)|newconnectionerror|name resolution"
        r"|getaddrinfo failed|name or service not known|nodename nor servname|connection (refused|reset|aborted|broken)"
        r"|timed out|timeout|proxyerror|tunnel error|network is unreachable|failed to fetch|failed to download"
        r"|max retries exceeded|network connectivity is disabled",
        "no package index could be reached. Check the network connection; behind a proxy, set HTTPS_PROXY.\n"
        "Then run the same command again: what was already downloaded is kept.",
    ),
    (
        "permission",
        r"permission denied|os error 13\b|errno 13\b|access is denied|os error (5|32)\b|read-only file system",
        "a file could not be written. Close JupyterLab and every program that uses .venv; if the file belongs to\n"
        "another user, give it back to yourself. Then run the same command again.",
    ),
]


def explain(title: str, words: str) -> str:
    """Turn the last words of a failed step into what is wrong and what to do."""
    for name, pattern, meaning in TROUBLES:
        if re.search(pattern, words.lower()):
            return space_words("no space is left.") if name == "disk" else meaning
    return (
        f"the step `{title}` failed; its own words are above.\n"
        "Run the same command again. If it fails again, remove the folder .venv (make clean) and run it once more."
    )


# Small things


def environment() -> dict:
    """The environment variables for the steps."""
    variables = {name: value for name, value in os.environ.items() if name not in SETTINGS_TO_DROP}
    variables.setdefault("UV_HTTP_TIMEOUT", "120")  # one wheel has 0.5 GB; uv's 30 s are short on a slow line
    return variables


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def locked_names() -> list:
    return re.findall(r"^([A-Za-z0-9][\w.-]*)==", read("requirements.lock"), re.MULTILINE)


def locked_version(name: str) -> str:
    found = re.search(rf"^{re.escape(name)}==([^\s;]+)", read("requirements.lock"), re.MULTILINE)
    if not found:
        raise Stop(f"requirements.lock names no version of {name}. Run: git checkout requirements.lock")
    return found.group(1)


def seconds(began: float) -> str:
    return f"{time.time() - began:.0f} s"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
