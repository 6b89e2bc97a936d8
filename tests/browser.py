"""Drive a real JupyterLab in a headless Chromium: for the browser test, and for pictures of the lessons.

    python tests/browser.py notebooks/01_tracing.ipynb out.png [--run] [--dark]

writes out-1.png, out-2.png, … of the whole notebook, from top to bottom.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from playwright.sync_api import Locator, Page, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
BROWSERS = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
    "msedge",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    r"C:\Program Files\Google\Chrome\Application\chrome.exe",
    r"C:\Program Files (x86)\Microsoft\Edge\Application\msedge.exe",
)
WIDTH, HEIGHT = 1280, 1600  # pixels of the window
NOTEBOOK = "window.jupyterapp.shell.currentWidget"
SCROLLED = ".jp-WindowedPanel-outer"


def find_browser() -> str | None:
    """Return the path of an installed Chromium, Chrome or Edge, or None."""
    return next((path for name in BROWSERS if (path := shutil.which(name))), None)


@dataclass
class Lab:
    """A JupyterLab with one window open on it."""

    url: str
    token: str
    page: Page
    timeout: float
    external: list[str] = field(default_factory=list)
    """Requests that left this machine, or would have: they are blocked. A good page makes none."""
    page_errors: list[str] = field(default_factory=list)
    """JavaScript errors that nothing caught."""

    def open(self, notebook: str, mode: str = "lab") -> None:
        """Show a notebook and wait until its kernel answers. ``mode`` "doc" shows the notebook without the side bars.

        The page says "idle" before there is a kernel, and what is run before the kernel is connected is lost.
        """
        self.page.goto(f"{self.url}/{mode}/tree/{notebook}?token={self.token}&reset", wait_until="domcontentloaded")
        self.page.wait_for_selector(".jp-Notebook .jp-Cell")
        self.page.wait_for_function(
            f"() => {NOTEBOOK}?.sessionContext?.session?.kernel?.connectionStatus === 'connected'"
        )
        self.page.evaluate(
            f"async () => {{ const s = {NOTEBOOK}.sessionContext; await s.ready; await s.session.kernel.info; }}"
        )

    def cell(self, text: str) -> Locator:
        """Return the code cell whose source contains ``text``."""
        return self.page.locator(".jp-CodeCell").filter(has=self.page.locator(".cm-content", has_text=text))

    def write(self, cell: Locator, source: str) -> None:
        """Replace a cell's source, as a learner does: click into it, select all, write."""
        cell.locator(".cm-content").click()
        self.page.keyboard.press("ControlOrMeta+a")
        self.page.keyboard.insert_text(source)  # not type(): the editor would indent and close brackets on its own

    def run_all(self) -> None:
        """Run all cells and wait until the last one has ended."""
        self.page.evaluate(
            "() => { window.ranAll = false; "
            "window.jupyterapp.commands.execute('notebook:run-all-cells').then(() => { window.ranAll = true; }); }"
        )
        self.page.wait_for_function(
            "() => window.ranAll"
            " && ![...document.querySelectorAll('.jp-CodeCell .jp-InputPrompt')].some(p => p.innerText.includes('*'))"
            " && document.querySelector('.jp-Notebook-ExecutionIndicator')?.dataset.status === 'idle'"
        )

    def save(self) -> None:
        """Save the notebook and wait until it is on disk."""
        self.page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
        self.page.wait_for_function(f"() => !{NOTEBOOK}.context.model.dirty")

    def in_kernel(self, code: str) -> str:
        """Run code in the open notebook's kernel, outside its cells; return what it wrote on stdout and stderr."""
        return self.page.evaluate(
            f"""async code => {{
                const future = {NOTEBOOK}.sessionContext.session.kernel.requestExecute({{code}});
                let text = '';
                future.onIOPub = message => {{ text += message.content.text ?? ''; }};
                await future.done;
                return text;
            }}""",
            code,
        )

    def in_terminal(self, line: str, until: str) -> str:
        """Type a line in a new terminal of JupyterLab; return all it showed when ``until`` (a regex) is there."""
        return self.page.evaluate(
            """async ([line, until, limit]) => {
                const terminals = window.jupyterapp.serviceManager.terminals;
                const terminal = await terminals.startNew();
                let text = '';
                const seen = new Promise((resolve, reject) => {
                    terminal.messageReceived.connect((_, message) => {
                        if (message.type === 'stdout') { text += message.content[0]; }
                        if (new RegExp(until).test(text)) { resolve(); }
                    });
                    setTimeout(resolve, limit);
                });
                terminal.send({type: 'stdin', content: [line + '\\r']});
                await seen;
                await terminal.shutdown();
                return text;
            }""",
            [line, until, self.timeout * 500],
        )

    def errors_shown(self) -> list[str]:
        """Return the texts of the error outputs and of what cells wrote on stderr."""
        kinds = ("application/vnd.jupyter.error", "application/vnd.jupyter.stderr")
        return self.page.locator(
            ", ".join(f'.jp-OutputArea-output[data-mime-type="{kind}"]' for kind in kinds)
        ).all_inner_texts()

    def screenshot(self, path: Path) -> list[Path]:
        """Write the whole notebook as pictures: ``out.png`` gives out-1.png, out-2.png, … Return their paths."""
        self.page.wait_for_timeout(500)  # formulas and diagrams are drawn after the cells
        panel = self.page.locator(f".jp-NotebookPanel:visible {SCROLLED}").first
        height, shown = panel.evaluate("panel => [panel.scrollHeight, panel.clientHeight]")
        paths = []
        for number, top in enumerate(range(0, height, shown), start=1):
            panel.evaluate("(panel, top) => { panel.scrollTop = top; }", top)
            self.page.wait_for_timeout(100)
            paths.append(path.with_name(f"{path.stem}-{number}{path.suffix or '.png'}"))
            panel.screenshot(path=paths[-1], animations="disabled")
        return paths


@contextmanager
def open_lab(root: Path, *, dark: bool = False, timeout: float = 120.0, **environment: str) -> Iterator[Lab]:
    """Serve ``root``, which holds a course.toml, as `course lab` does, and open a window on it; both end afterwards.

    Nobody's settings are read or written: all of Jupyter's directories are temporary. ``timeout``: seconds that any
    one step may take. ``environment``: further variables of the server and its kernels.

    Raises:
        RuntimeError: no browser is installed, or the server did not start; the text holds the end of its log.
    """
    executable = find_browser()
    if executable is None:
        raise RuntimeError("no Chromium, Chrome or Edge was found; install one (Debian: apt-get install chromium)")
    with tempfile.TemporaryDirectory(prefix="lab-", ignore_cleanup_errors=True) as name:
        scratch = Path(name)
        with served(root, scratch, dark, timeout, environment) as (url, token), sync_playwright() as playwright:
            context = playwright.chromium.launch_persistent_context(
                scratch / "browser",
                executable_path=executable,
                headless=True,
                viewport={"width": WIDTH, "height": HEIGHT},
                args=[
                    "--disable-gpu",
                    "--disable-quic",
                    "--no-first-run",
                    "--disable-background-networking",
                    "--disable-component-update",
                    "--disable-sync",
                    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
                ],
            )
            try:
                page = context.pages[0]
                page.set_default_timeout(timeout * 1000)
                lab = Lab(url, token, page, timeout)

                def keep_inside(route) -> None:
                    if route.request.url.startswith((f"{url}/", "data:", "blob:")):
                        route.continue_()
                    else:
                        lab.external.append(route.request.url)
                        route.abort()

                context.route("**/*", keep_inside)
                page.on("pageerror", lambda error: lab.page_errors.append(str(error)))
                yield lab
            finally:
                context.close()


@contextmanager
def served(
    root: Path, scratch: Path, dark: bool, timeout: float, environment: dict[str, str]
) -> Iterator[tuple[str, str]]:
    """Run `course lab` on ``root`` with its directories below ``scratch``; give the server's address and token."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    token, url = secrets.token_hex(16), f"http://127.0.0.1:{port}"
    directories = {
        "JUPYTER_CONFIG_DIR": "config",
        "JUPYTER_DATA_DIR": "data",
        "JUPYTER_RUNTIME_DIR": "runtime",
        "JUPYTERLAB_SETTINGS_DIR": "settings",
        "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
        "IPYTHONDIR": "ipython",
    }
    settings = {
        # Off-screen cells stay in the page, and no dialog asks for a kernel.
        "notebook-extension/tracker": {"autoStartDefaultKernel": True, "windowingMode": "none"},
        "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
        "apputils-extension/themes": {"theme": "JupyterLab Dark" if dark else "JupyterLab Light"},
    }
    for plugin, values in settings.items():
        file = scratch / "settings" / "@jupyterlab" / f"{plugin}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(values), encoding="utf-8")
    command = [sys.executable, "-m", "course_utils", "lab", f"--port={port}", "--no-browser"]
    command += [f"--IdentityProvider.token={token}", "--LabApp.expose_app_in_browser=True"]
    log = scratch / "server.log"
    variables = {**os.environ, **{key: str(scratch / value) for key, value in directories.items()}, **environment}
    variables["COURSE_ROOT"] = str(root)
    with log.open("wb") as output:
        server = subprocess.Popen(command, env=variables, cwd=root, stdout=output, stderr=output)
        try:
            wait_until_it_answers(server, f"{url}/api?token={token}", log, timeout)
            yield url, token
        finally:
            server.terminate()
            try:
                server.wait(20)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def wait_until_it_answers(server: subprocess.Popen, address: str, log: Path, timeout: float) -> None:
    """Return when the server answers at ``address``. Raises RuntimeError with the end of ``log`` when it doesn't."""
    end = time.monotonic() + timeout
    while server.poll() is None and time.monotonic() < end:
        try:
            with urllib.request.urlopen(address, timeout=2):
                return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(f"JupyterLab did not start:\n{log.read_text(encoding='utf-8', errors='replace')[-3000:]}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Write pictures of a notebook as JupyterLab shows it.")
    parser.add_argument("notebook", help="path relative to the repository, such as notebooks/01_tracing.ipynb")
    parser.add_argument("picture", type=Path, help="out.png gives out-1.png, out-2.png, …")
    parser.add_argument("--run", action="store_true", help="run all cells first (the file is not saved)")
    parser.add_argument("--dark", action="store_true", help="with JupyterLab's dark theme")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, open_lab(
        ROOT, dark=options.dark, timeout=600, COURSE_PROGRESS_FILE=str(Path(name) / "progress.json")
    ) as lab:  # fmt: skip
        lab.open(options.notebook, mode="doc")
        if options.run:
            lab.run_all()
        for path in lab.screenshot(options.picture):
            print(path)
        for title, texts in (("external request", lab.external), ("page error", lab.page_errors)):
            for text in texts:
                print(f"{title}: {text}", file=sys.stderr)


if __name__ == "__main__":
    main()
