"""The papers' physics in today's MuJoCo: capsules that weigh what they weighed before 2.1.1.

Up to version 2.1.0 MuJoCo took the mass and inertia of a capsule from a cylinder of its radius,
longer than its middle part by one radius; since then they are exact (MuJoCo's changelog, 2.1.1).
CURL, RAD, DrQ and the state SAC they quote were run on the older one: there finger_spin's spinner
has 16 % less inertia. ``benchmarks/bench_physics.py`` holds what is done here against 2.1.0.
"""

import importlib
import warnings
from typing import Any

import numpy as np

from handful.config import ConfigError


def weigh_as_published(env: Any, domain: str, task: str) -> None:
    """Give the bodies of a loaded task of dm_control their masses and inertias of MuJoCo 2.1.0.

    Args:
        env: what ``suite.load`` returned, not yet reset. domain, task: its words.

    Raises:
        ConfigError: the task does not take its model from the domain's file as it stands, so it
            cannot be compiled a second time.
    """
    import mujoco

    module = importlib.import_module(f"dm_control.suite.{domain}")
    model: Any = env.physics.model.ptr
    try:
        plain, spec = _compiled(_spec(module)), _spec(module)
    except (AttributeError, TypeError):  # no such function, or one that asks for more
        plain = None
    if plain is None or not np.array_equal(plain.body_mass, model.body_mass):
        raise ConfigError(
            f"--physics published: {domain}_{task} builds its model anew for each task, so the "
            "older masses cannot be worked out; add --physics installed"
        )
    for geom in spec.geoms:
        if geom.type == mujoco.mjtGeom.mjGEOM_CAPSULE:
            _to_cylinder(geom)
    old = _compiled(spec)
    weights = ("body_mass", "body_inertia", "body_ipos", "body_iquat")
    shortcuts = ("body_sameframe", "body_simple", "dof_simplenum")  # what the engine skips
    for name in (*weights, *shortcuts):
        getattr(model, name)[:] = getattr(old, name)
    mujoco.mj_setConst(model, mujoco.MjData(model))  # what is derived from them, but for the means
    model.stat.meaninertia, model.stat.meanmass = old.stat.meaninertia, old.stat.meanmass


def _spec(module: Any) -> Any:
    import mujoco

    xml, assets = module.get_model_and_assets()
    text = xml.decode() if isinstance(xml, bytes) else xml
    files = {name.removeprefix("./"): content for name, content in assets.items()}
    return mujoco.MjSpec.from_string(text, include=files, assets=files)


def _compiled(spec: Any) -> Any:
    with warnings.catch_warnings():  # of what dm_control's own files still say, and has said once
        warnings.simplefilter("ignore")
        return spec.compile()


def _to_cylinder(geom: Any) -> None:
    """The cylinder that stood for a capsule: half a radius longer at either end."""
    import mujoco

    geom.type = mujoco.mjtGeom.mjGEOM_CYLINDER
    radius = float(geom.size[0])
    if np.isnan(geom.fromto[0]):
        geom.size[1] += 0.5 * radius
        return
    ends = np.array(geom.fromto).reshape(2, 3)
    along = ends[1] - ends[0]
    step = 0.5 * radius * along / np.linalg.norm(along)
    geom.fromto[:] = np.concatenate([ends[0] - step, ends[1] + step])
