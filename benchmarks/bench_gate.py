"""Does the gate predict: success on the certificate against success in a twin that plays the arm.

Trains one task with several seeds, keeps a checkpoint at every stage (so good ones and bad), gives
each a certificate of ``handful validate``, and measures it in the "real" twin: other gains, grip,
masses, friction, light, lens and delays, fixed, known to nobody who trains or validates. Reports
Spearman's rank correlation with an interval from resampled episodes, Pearson's r and the mean
maximum rank violation of SIMPLER (Li et al. 2024), as JSON and as a figure. What is there is not
done again, so an interrupted evening goes on.

    .venv/bin/python benchmarks/bench_gate.py --out runs/gate --set twin.randomize=calibrated
    .venv/bin/python benchmarks/bench_gate.py --out runs/gate --summary     # of what is there
"""

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from handful.config import read
from handful.workflow.results import commit, machine, read_json, versions, write_json, write_text
from handful.workflow.validate_settings import SHIPPED

STAGES = (0, 350, 500, 1000, 2000, 4000)  # no update before agent.start_steps (300)
REAL = (
    "twin.position_gain=0.07",
    "twin.velocity_gain=0.9",
    "twin.grip_force_n=14.0",
    "twin.finger_speed_m_s=0.06",
    "twin.delay.frame_s=0.045",
    "twin.delay.command_s=0.05",
    "twin.randomize={camera: {position_m: 0.006, fov_deg: 0.8},"
    " light: {azimuth_rad: 1.1, ambient: 0.85}, physics: {object_mass: 1.5, object_friction: 0.7,"
    " table_height_m: -0.002}, picture: {exposure: 0.88, noise: 4.0},"
    " encoders: {joint_offset_rad: 0.002}}",
)
"""The cell that plays the arm. Not a file of ``config/randomize``: nobody may train on it."""
HANDFUL = (sys.executable, "-c", "from handful.cli import main; main()")


def main() -> None:
    """Train, certify, measure, tell."""
    options = parse()
    options.out.mkdir(parents=True, exist_ok=True)
    if not options.summary:
        for seed in options.seeds:
            for path in train(options, seed):
                certify(options, path)
                measure(options, path)
        for path in kept(options):
            certify(options, path)
            measure(options, path)
    result = summarise(options)
    write_json(options.out / "gate.json", result)
    draw(result, options.out / "gate.png")
    print({key: value for key, value in result.items() if isinstance(value, float | int | str)})


def train(options: argparse.Namespace, seed: int) -> list[Path]:
    """The checkpoints of one seed, at every stage; stage 0 is the pre-trained policy."""
    run, kept = options.out / f"seed{seed}", options.out / "checkpoints"
    kept.mkdir(exist_ok=True)
    paths = [kept / f"{options.task}_s{seed}_n{steps:05d}.safetensors" for steps in options.stages]
    for path, steps in zip(paths, options.stages, strict=True):
        if path.exists():
            continue
        words = ["--run", str(run)]
        words += [word for one in ("agent.threads=1", *options.set) for word in ("--set", one)]
        if not (run / "pretrained.safetensors").exists():
            shown = ["--demos", str(options.demos), "--seed", str(seed)]
            call(options, "collect", "--task", options.task, *shown, *words)
            call(options, "pretrain", *words)
        if steps > 0:
            more = ["--resume"] if (run / "checkpoint.safetensors").exists() else []
            call(options, "train", *words, "--steps", str(steps), *more)
        name = "checkpoint" if steps > 0 else "pretrained"
        beside = path.with_suffix(".part")
        shutil.copy(run / f"{name}.safetensors", beside)
        os.replace(beside, path)
    return paths


def kept(options: argparse.Namespace) -> list[Path]:
    """Copies of the checkpoints of other runs, NAME=FILE each."""
    folder = options.out / "checkpoints"
    folder.mkdir(exist_ok=True)
    paths = []
    for name, _, file in (word.partition("=") for word in options.also):
        paths.append(folder / f"{name}.safetensors")
        if not paths[-1].exists():
            beside = paths[-1].with_suffix(".part")
            shutil.copy(file, beside)
            os.replace(beside, paths[-1])
    return paths


def certify(options: argparse.Namespace, path: Path) -> None:
    """``handful validate``; a checkpoint that does not pass has a certificate all the same."""
    out = options.out / "certificates" / path.stem
    if (out / "certificate.json").exists():
        return
    words = ["--episodes", str(options.episodes), "--no-sensitivity", "--out", str(out)]
    words += ["--severities", "nominal,calibrated,hard"]
    call(options, "validate", str(path), *words, allowed=(0, 1))


def measure(options: argparse.Namespace, path: Path) -> None:
    """Success in the cell that plays the arm, in worlds that the certificate has not used.

    Counted as on the certificate: an arm's own collision stop ends an episode there as well.
    """
    out = options.out / "real" / path.stem
    if (out / "certificate.json").exists():
        return
    settings = options.out / "real.yaml"
    if not settings.exists():
        said = dict(read(SHIPPED)[0])
        said["severities"] = {**said["severities"], "real": {"sets": [*REAL]}}
        write_text(settings, yaml.safe_dump(said, sort_keys=False))
    words = ["--settings", str(settings), "--severities", "real", "--seed", "1"]
    words += ["--episodes", str(options.episodes), "--no-sensitivity", "--out", str(out)]
    call(options, "validate", str(path), *words, allowed=(0, 1))


def summarise(options: argparse.Namespace) -> dict[str, Any]:
    """All pairs that are there, and how well one ranks the other."""
    rows = []
    for path in sorted((options.out / "real").glob("*/certificate.json")):
        name = path.parent.name
        real = (read_json(path) or {})["severities"][0]
        held = read_json(options.out / "certificates" / name / "certificate.json")
        if held is None:
            continue
        row = {"checkpoint": name, "passed": held["verdict"]["passed"]}
        row |= {"real": real["success_rate"], "episodes": real["episodes"]}
        rows.append(row | {s["name"]: s["success_rate"] for s in held["severities"]})
    result: dict[str, Any] = {"task": options.task, "checkpoints": len(rows), "rows": rows}
    result |= {"demos": options.demos, "trained_with": options.set, "real_cell": [*REAL]}
    if len(rows) >= 3:
        real = np.array([row["real"] for row in rows])
        for name in ("nominal", "calibrated", "hard"):
            ours = np.array([row[name] for row in rows])
            low, high = resampled(ours, real, rows[0]["episodes"])
            result |= {
                f"spearman_{name}": spearman(ours, real),
                f"spearman_{name}_low": low,
                f"spearman_{name}_high": high,
                f"pearson_{name}": pearson(ours, real),
                f"mmrv_{name}": rank_violation(ours, real),
            }
    return {**result, "commit": commit(), "versions": versions(), "machine": machine()}


def spearman(ours: NDArray[np.float64], real: NDArray[np.float64]) -> float:
    """Rank correlation, ties at their mean rank; 0 when one side is all the same."""
    from scipy.stats import rankdata

    return pearson(rankdata(ours), rankdata(real))


def pearson(ours: NDArray[np.float64], real: NDArray[np.float64]) -> float:
    """Linear correlation; 0 when one side is all the same."""
    if np.ptp(ours) == 0.0 or np.ptp(real) == 0.0:
        return 0.0
    return float(np.corrcoef(ours, real)[0, 1])


def rank_violation(ours: NDArray[np.float64], real: NDArray[np.float64]) -> float:
    """SIMPLER's MMRV: over policies, the mean largest real gap to one it is misranked with."""
    gap = np.abs(real[:, None] - real[None, :])
    wrong = (ours[:, None] < ours[None, :]) != (real[:, None] < real[None, :])
    return float((gap * wrong).max(axis=1).mean())


def resampled(
    ours: NDArray[np.float64], real: NDArray[np.float64], episodes: int, draws: int = 2000
) -> tuple[float, float]:
    """95 % of Spearman's r when both sides' episodes are drawn again, binomially."""
    rng = np.random.default_rng(0)
    found = [
        spearman(rng.binomial(episodes, ours) / episodes, rng.binomial(episodes, real) / episodes)
        for _ in range(draws)
    ]
    low, high = np.percentile(found, [2.5, 97.5])
    return float(low), float(high)


def draw(result: dict[str, Any], path: Path) -> None:
    """Certificate against real, one dot a checkpoint."""
    if len(result["rows"]) < 3:
        return
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 3, figsize=(11.4, 4.0), dpi=130, sharey=True)
    for axis, name in zip(axes, ("nominal", "calibrated", "hard"), strict=True):
        axis.plot([0, 1], [0, 1], color="#e3e6ea", linewidth=1, zorder=0)
        passed = [row["passed"] for row in result["rows"]]
        colours = ["#2c8f6b" if ok else "#2f6fb3" for ok in passed]
        x, y = ([row[key] for row in result["rows"]] for key in (name, "real"))
        axis.scatter(x, y, c=colours, s=42, alpha=0.85, edgecolors="white")
        axis.set(
            xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), xlabel=f"success on the certificate, {name}"
        )
        axis.set_title(
            f"Spearman {result[f'spearman_{name}']:.2f}, Pearson {result[f'pearson_{name}']:.2f}, "
            f"MMRV {result[f'mmrv_{name}']:.3f}",
            fontsize=9.5,
        )
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("success in the twin that plays the arm")
    figure.tight_layout()
    figure.savefig(path)
    pyplot.close(figure)


def call(options: argparse.Namespace, *words: str, allowed: tuple[int, ...] = (0,)) -> None:
    """One ``handful`` command, its words in the log; ends everything when it fails."""
    print(f"handful {' '.join(words)}", flush=True)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with (options.out / "gate.log").open("a", encoding="utf-8") as log:
        code = subprocess.call([*HANDFUL, *words], stdout=log, stderr=log, env=environment)
    if code not in allowed:
        sys.exit(f"handful {words[0]} ended with {code}; see {options.out / 'gate.log'}")


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--out", type=Path, default=Path("runs/gate"), help="folder of everything")
    parser.add_argument("--task", default="lift")
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1])
    parser.add_argument(
        "--also",
        nargs="*",
        default=[],
        metavar="NAME=FILE",
        help="checkpoints of other runs, made with other demonstrations and settings",
    )
    parser.add_argument("--stages", type=int, nargs="+", default=list(STAGES), help="env steps")
    parser.add_argument("--episodes", type=int, default=100, help="on each side")
    parser.add_argument("--demos", type=int, default=10, help="demonstrations a seed")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="GROUP.KEY=VALUE",
        help="of training, as handful train; twin.randomize=calibrated: policies of all qualities",
    )
    parser.add_argument("--summary", action="store_true", help="only tell what is there")
    return parser.parse_args()


if __name__ == "__main__":
    main()
