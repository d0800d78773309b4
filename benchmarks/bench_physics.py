"""Is ``--physics published`` MuJoCo 2.1.0? The same actions in both, and where their states part.

Loads dm_control's models into the old library (``old_mujoco.c``, compiled on the spot), begins the
same episode, sends the same random actions and compares joint positions after every environment
step: today's MuJoCo as it is installed, and with the capsules weighed as they once were
(``workflow/dmc_physics.py``). Contacts make an arm chaotic: sooner or later the last bit decides.

The old library comes with a wheel for older Pythons, of which only the library is used:

    pip download --no-deps --only-binary=:all: --python-version 3.10 free-mujoco-py==2.1.6
    unzip free_mujoco_py-*.whl 'mujoco_py/binaries/linux/*' -d old
    python benchmarks/bench_physics.py old/mujoco_py/binaries/linux/mujoco210 --json physics.json
"""

import argparse
import ctypes
import subprocess
import tempfile
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handful.workflow.dmc_physics import weigh_as_published
from handful.workflow.dmc_plan import tasks_of
from handful.workflow.dmc_simulators import find_task
from handful.workflow.results import commit, machine, versions, write_json

HERE = Path(__file__).parent
APART = 1e-6  # [rad or m] joint positions that differ by more have parted


def compile_shim(mujoco: Path, into: Path) -> Path:
    """``old_mujoco.c`` against the library in ``mujoco``; needs a C compiler."""
    shim, libraries = into / "old_mujoco.so", mujoco / "bin"
    if not (libraries / "libmujoco210nogl.so").is_file():
        raise SystemExit(
            f"{mujoco}: no bin/libmujoco210nogl.so in it; name the folder mujoco210 of the "
            "unpacked wheel free-mujoco-py 2.1.6 (how to get it: the head of this file)"
        )
    words = ["cc", "-O2", "-shared", "-fPIC", str(HERE / "old_mujoco.c"), "-o", str(shim)]
    words += [f"-I{mujoco / 'include'}", f"-L{libraries}", "-lmujoco210nogl"]
    subprocess.run([*words, f"-Wl,-rpath,{libraries.resolve()}"], check=True)
    return shim


class Old:
    """One model in the old library; a process can hold one at a time."""

    def __init__(self, shim: Path, xml: Path) -> None:
        self._lib = ctypes.CDLL(str(shim))
        said = ctypes.create_string_buffer(1000)
        self.version = int(self._lib.old_open(str(xml).encode(), said))
        if self.version < 0:
            raise SystemExit(f"{xml}: {said.value.decode()}")

    def weights(self, bodies: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Masses (B,) [kg] and principal inertias (B, 3) [kg m^2]."""
        mass, inertia = np.zeros(bodies), np.zeros((bodies, 3))
        self._lib.old_weights(_at(mass), _at(inertia))
        return mass, inertia

    def begin(self, qpos: Any, qvel: Any, damping: Any) -> None:
        self._lib.old_set(*(_at(np.array(v, np.float64)) for v in (qpos, qvel, damping)))

    def step(self, action: NDArray[np.float64], substeps: int, joints: int) -> NDArray[np.float64]:
        """Joint positions (J,) after one environment step."""
        qpos = np.zeros(joints)
        self._lib.old_step(_at(action), substeps, _at(qpos))
        return qpos


def measure(name: str, shim: Path, steps: int, episodes: int) -> dict[str, Any]:
    """Steps until the states part, with and without the older weights; median over episodes."""
    from dm_control import suite

    domain, task = find_task(name).words
    xml = Path(suite.__file__).parent / f"{domain}.xml"
    parted: dict[str, list[int]] = {"installed": [], "published": []}
    row: dict[str, Any] = {}
    for physics, found in parted.items():
        env = suite.load(domain, task, task_kwargs={"random": 1})
        if physics == "published":
            weigh_as_published(env, domain, task)
        model, data = env.physics.model.ptr, env.physics.data.ptr
        old = Old(shim, xml)
        mass, inertia = old.weights(model.nbody)
        row[f"mass_{physics}"] = _largest(model.body_mass, mass)
        row[f"inertia_{physics}"] = _largest(model.body_inertia, inertia)
        random = np.random.default_rng(1)
        for _ in range(episodes):
            env.reset()
            old.begin(data.qpos, data.qvel, model.dof_damping)
            substeps, spec = env._n_sub_steps, env.action_spec()
            together = 0
            while together < steps:
                action = random.uniform(spec.minimum, spec.maximum)
                theirs = old.step(action, substeps, model.nq)
                env.step(action)
                if np.abs(data.qpos - theirs).max() > APART:
                    break
                together += 1
            found.append(together)
        row[f"steps_{physics}"] = float(np.median(found))
        env.close()
    return {"task": name, "old_version": old.version, **row}


def _largest(ours: Any, theirs: NDArray[np.float64]) -> float:
    """The largest relative difference; 0: equal to the last bit."""
    known = theirs > 0
    return float(np.abs(np.asarray(ours)[known] / theirs[known] - 1.0).max())


def _at(values: NDArray[np.float64]) -> ctypes.c_void_p:
    return values.ctypes.data_as(ctypes.c_void_p)


def main() -> None:
    """One row a task."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("mujoco", type=Path, help="the folder mujoco210: include/ and bin/")
    parser.add_argument("--tasks", default="planet", help="tasks of dm_control, or a group")
    parser.add_argument("--steps", type=int, default=1000, help="environment steps an episode")
    parser.add_argument("--episodes", type=int, default=5)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        shim = compile_shim(given.mujoco, Path(folder))
        rows = [measure(t, shim, given.steps, given.episodes) for t in tasks_of(given.tasks)]
    print("from the old library: inertias differ by (installed, published),")
    print("states differ after so many environment steps (ditto)")
    for row in rows:
        print(
            f"{row['task']:<20}{row['inertia_installed']:8.1%}{row['inertia_published']:10.1e}"
            f"{row['steps_installed']:8.0f}{row['steps_published']:8.0f}"
        )
    if given.json:
        suite = {name: metadata.version(name) for name in ("dm_control", "mujoco")}
        facts = {"commit": commit(), "machine": machine(), "versions": {**versions(), **suite}}
        write_json(given.json, {**facts, "steps": given.steps, "rows": rows})


if __name__ == "__main__":
    main()
