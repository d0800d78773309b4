"""Other people's packages in environments of their own, so that one can be timed beside ours.

``Peer`` makes a virtual environment under ``.bench/<name>`` with pinned packages from the package
index, once, and talks to a script running in it: one JSON object a line each way. The peer stays
alive between questions, so slices of its work and of ours can be interleaved.
"""

import json
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path
from types import TracebackType
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / ".bench"


class PeerError(RuntimeError):
    """A peer that cannot be installed or does not answer; the message names it and why."""


class Peer:
    """A script in an environment of its own; use it in a ``with`` statement.

    name: of the environment. packages: pinned requirements, ``name==version`` each. script: the
    file to run; it answers every line on its standard input with one line (see ``answer``).
    """

    def __init__(self, name: str, packages: tuple[str, ...], script: Path) -> None:
        self.name, self.packages, self.script = name, packages, script
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> "Peer":
        return self.start(install(self.name, self.packages))

    def start(self, python: Path) -> "Peer":
        """Start the script under an interpreter that is there."""
        quiet = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
        quiet.pop("PYTHONPATH", None)  # ours; the peer has its own packages
        self._process = subprocess.Popen(
            [python, str(self.script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=quiet,
        )
        return self

    def ask(self, **question: Any) -> dict[str, Any]:
        """Send a question and wait for the answer; raises ``PeerError`` when the peer has died."""
        process = self._process
        assert process is not None and process.stdin is not None and process.stdout is not None
        try:
            process.stdin.write(json.dumps(question) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise PeerError(
                f"{self.name} stopped with exit status {process.wait()}; to see why, run "
                f"{FOLDER / self.name / 'bin' / 'python'} {self.script} and type {{}}"
            )
        answer: dict[str, Any] = json.loads(line)
        return answer

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        process, self._process = self._process, None
        if process is not None and process.stdin is not None:
            process.stdin.close()
            try:
                process.wait(timeout=10.0)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def install(name: str, packages: tuple[str, ...]) -> Path:
    """The interpreter of ``.bench/<name>`` with exactly these packages; made when it is not there.

    Raises:
        PeerError: the environment cannot be made or the package index cannot be reached.
    """
    folder = FOLDER / name
    python, done = folder / "bin" / "python", folder / "installed.json"
    wanted = json.dumps([list(packages), sys.version])
    if python.exists() and done.is_file() and done.read_text(encoding="utf-8") == wanted:
        return python
    shutil.rmtree(folder, ignore_errors=True)
    try:
        venv.create(folder, with_pip=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise PeerError(
            f"{folder}: no virtual environment could be made ({error}); on Debian, "
            "apt-get install python3-venv"
        ) from None
    command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    result = subprocess.run([*command, *packages], capture_output=True, text=True, check=False)
    if result.returncode != 0:
        said = [line for line in result.stderr.splitlines() if line.strip()] or ["no message"]
        raise PeerError(
            f"{name}: pip could not install {' '.join(packages)} into {folder}; it needs the "
            f"package index, so run this once online. pip said: {said[-1].strip()}"
        )
    done.write_text(wanted, encoding="utf-8")
    return python


def answer(handle: Any) -> None:
    """The peer's side: call ``handle(**question)`` for every line until the input ends.

    What libraries print goes to standard error, because answers own standard output.
    """
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    for line in sys.stdin:
        out.write(json.dumps(handle(**json.loads(line))) + "\n")
        out.flush()
