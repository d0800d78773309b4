"""LeRobot and robomimic in an environment of their own, ``.bench/loaders``, to load what we export.

Run ``.venv/bin/python benchmarks/loaders.py`` once; it needs the package index. Their pins clash
with ours and with each other's, and would bring CUDA. So only their loaders' own needs are
installed, without dependencies, and torch, numpy, pyarrow, h5py and PyAV are those of ``.venv``.
"""

import json
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / ".bench" / "loaders"
PYTHON = FOLDER / "bin" / "python"
PACKAGES = (
    "lerobot==0.4.4",
    "robomimic==0.3.0",
    "torchvision==0.28.0",
    "accelerate==1.15.0",
    "aiohappyeyeballs==2.7.1",
    "aiohttp==3.14.5",
    "aiosignal==1.4.0",
    "anyio==4.16.0",
    "attrs==26.1.0",
    "certifi==2026.10.19.post1",
    "charset-normalizer==3.5.3",
    "datasets==4.1.1",
    "dill==0.4.1",
    "draccus==0.10.0",
    "frozenlist==1.8.0",
    "h11==0.16.0",
    "hf-xet==1.8.0",
    "httpcore==1.0.9",
    "httpx==0.28.1",
    "huggingface-hub==0.35.3",
    "idna==3.20",
    "jsonlines==4.0.0",
    "mergedeep==1.3.4",
    "multidict==7.2.1",
    "multiprocess==0.70.19",
    "pandas==3.1.1",
    "propcache==0.5.4",
    "psutil==7.2.2",
    "python-dateutil==4.0.0",
    "pytz==2026.6",
    "pyyaml-include==2.2",
    "requests==2.34.2",
    "six==1.17.0",
    "sniffio==1.3.1",
    "tensorboardx==2.6.4",
    "termcolor==3.3.0",
    "toml==0.10.2",
    "tzdata==2026.6",
    "urllib3==2.5.0",
    "xxhash==4.1.0",
    "yarl==1.25.1",
)


def stand_in_for_torchvision() -> None:
    """Let torchvision's wheel, which is built for CUDA, be imported beside a CPU build of torch.

    It declares what its operators return, so they must have names; the loaders call none of them.
    """
    import torch

    library = torch.library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    stand_in_for_torchvision.library = library  # it lives as long as its names


def ready() -> bool:
    """Whether the environment is there, with these very packages."""
    done = FOLDER / "installed.json"
    return PYTHON.exists() and done.is_file() and done.read_text("utf-8") == _wanted()


def install() -> None:
    """Make the environment anew; says on stderr what pip says."""
    venv.create(FOLDER, with_pip=True, clear=True)
    inside = subprocess.run(
        [PYTHON, "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    ours = sysconfig.get_paths()["purelib"]
    Path(inside.stdout.strip(), "handful_venv.pth").write_text(ours + "\n", encoding="utf-8")
    pip = [str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--no-deps", *PACKAGES], check=True)
    (FOLDER / "installed.json").write_text(_wanted(), encoding="utf-8")


def _wanted() -> str:
    return json.dumps([list(PACKAGES), sys.version])


if __name__ == "__main__":
    if not ready():
        install()
    print(f"{PYTHON}: ready")
