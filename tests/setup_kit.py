"""A checkout for ``scripts/setup.sh`` with a fake Python that takes notes and installs nothing."""

import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[1]
FILES = [
    "requirements.txt",
    "requirements-ros.txt",
    "requirements-dev.txt",
    "requirements-dmc.txt",
    "constraints.txt",
    "pyproject.toml",
    "setup.py",
    "CMakeLists.txt",
    "package.xml",
    "msg/Action.msg",
    "srv/Halt.srv",
    "nodes/README.md",
    "scripts/setup.sh",
    "scripts/ros.sh",
]
OURS = {"roscore", "catkin_make", "rostest", "dpkg-query", "apt-get", "apt-cache", "nvidia-smi"}

# A python that can make a .venv (of copies of itself) and "installs" by taking a note.
FAKE = """#!/bin/bash
case "$*" in
    *version_info*) echo "${FAKE_VERSION:-3.11}" ;;
    --version) echo "Python ${FAKE_VERSION:-3.11}" ;;
    *libGL.so*) [ -z "$FAKE_NO_LIBGL" ] ;;
    *libEGL.so*) [ -z "$FAKE_NO_LIBEGL" ] ;;
    *"-m venv"*)
        for folder; do :; done
        mkdir -p "$folder/bin" && cp "$0" "$folder/bin/python" && ln -s python "$folder/bin/python3"
        echo "#!$folder/bin/python" >"$folder/bin/pip" ;;
    *"-m pip install"*)
        echo "$@" >>"$FAKE_NOTES"
        [ -z "$FAKE_KILL" ] || kill -9 $PPID
        [[ -z "$FAKE_BROKEN" || "$*" != *"$FAKE_BROKEN"* ]] ||
            { echo "ERROR: disk is full"; exit 1; } ;;
    *"import rospy"*) [ -z "$FAKE_NO_ROSPY" ] ;;
    *"-m pip show"*) [ -s "$FAKE_NOTES" ] ;;
    *'version("torch")'*) grep -oP '(?<=^torch==).*' requirements.txt ;;
esac
"""


class Checkout:
    """A folder with what the script reads, and the notes of the fake Python."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.fake = folder / "handful", folder / "python"
        self.notes, self.bin = folder / "notes", folder / "bin"
        for name in FILES:
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, self.folder / name)
        self.fake.write_text(FAKE)
        self.fake.chmod(0o755)
        # Every program of this machine but those that a test puts there itself.
        programs, self.apt = folder / "programs", folder / "apt"
        programs.mkdir()
        for path in Path("/usr/bin").iterdir():
            if path.name not in OURS:
                (programs / path.name).symlink_to(path)
        self.path = f"{self.bin}:{programs}"
        self.bin.mkdir()
        self.command("nvidia-smi", "exit 1")
        self.command("id", "echo 0")

    def setup(self, kind: str = "run", **extra: str) -> subprocess.CompletedProcess[str]:
        env = {"PYTHON": str(self.fake), "FAKE_NOTES": str(self.notes), "HOME": str(self.folder)}
        env["PATH"] = self.path
        script = str(self.folder / "scripts/setup.sh")
        return subprocess.run(
            [script, kind], env=env | extra, capture_output=True, text=True, timeout=30
        )

    def take_notes(self) -> list[str]:
        """What pip was asked to install since the last look."""
        lines = self.notes.read_text().splitlines() if self.notes.exists() else []
        self.notes.write_text("")
        return lines

    def command(self, name: str, body: str) -> None:
        """Put a program before all others on the PATH."""
        path = self.bin / name
        path.write_text(f"#!/bin/bash\n{body}\n")
        path.chmod(0o755)
