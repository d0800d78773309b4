"""A real browser without a screen, driven through its DevTools: keys go in as a person's would."""

import json
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import connect

NO_BROWSER = "NO BROWSER HERE; to test the page: apt-get install chromium"
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_CODES = {
    "ArrowUp": 38, "ArrowDown": 40, "ArrowLeft": 37, "ArrowRight": 39, "Shift": 16, "Escape": 27,
}  # fmt: skip


def browser_path() -> str:
    """Chromium, or a loud skip."""
    found = next(filter(None, map(shutil.which, _NAMES)), None)
    if found is None:
        pytest.skip(NO_BROWSER)
    return str(found)


class Browser:
    """One headless Chromium with one tab."""

    def __init__(self, url: str) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="browser-", ignore_cleanup_errors=True)
        self._process = subprocess.Popen(
            [
                browser_path(), "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run",
                "--disable-dev-shm-usage", "--remote-debugging-port=0", "--window-size=1100,900",
                "--remote-allow-origins=*", f"--user-data-dir={self._folder.name}", url,
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self._number = 0
        self._line = connect(self._tab(), max_size=None, compression=None).__enter__()

    def _tab(self) -> str:
        import urllib.request

        port_file, end_s = Path(self._folder.name) / "DevToolsActivePort", time.monotonic() + 60.0
        while time.monotonic() < end_s:
            try:
                port = int(port_file.read_text().split()[0])
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/json", timeout=10) as answer:
                    tabs = [t for t in json.load(answer) if t["type"] == "page"]
                if tabs:
                    return str(tabs[0]["webSocketDebuggerUrl"])
            except (OSError, IndexError, ValueError):
                pass
            time.sleep(0.1)
        raise AssertionError("the browser did not start")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command of the DevTools protocol, and its answer."""
        self._number += 1
        self._line.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while True:
            said = json.loads(self._line.recv(timeout=30.0))
            if said.get("id") == self._number:
                assert "error" not in said, said
                return dict(said["result"])

    def ask(self, script: str) -> Any:
        """What a line of JavaScript comes to."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def until(self, script: str, timeout_s: float = 30.0) -> Any:
        """Wait until it is true."""
        end_s = time.monotonic() + timeout_s
        while not (value := self.ask(script)):
            assert time.monotonic() < end_s, f"never true: {script}"
            time.sleep(0.05)
        return value

    def key(self, kind: str, key: str) -> None:
        """``keyDown`` or ``keyUp`` of a key, as the browser's own input, not a script's event."""
        code = _CODES.get(key, ord(key.upper()) if len(key) == 1 else 0)
        self.call("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code)

    def picture(self, path: Path) -> None:
        """A screenshot as PNG."""
        import base64

        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot")["data"]))

    def kill(self) -> None:
        """As a crash would end it."""
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        self.kill()
        self._folder.cleanup()
