"""What a run is made of: a task, a seed, and six groups of settings, all resolved and checked."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from handful.config import ConfigError, Settings, build, load, parse_overrides
from handful.learn.settings import AgentSettings
from handful.rig.reward_settings import RewardSettings
from handful.rig.settings import RigSettings
from handful.workflow.process import hush
from handful.workflow.seeds import Purpose, episode_seed
from handful.workflow.settings import TrainSettings

GROUPS = ("agent", "rig", "twin", "task", "train", "reward")
DEFAULT_AGENT = "frozen"
DEFAULT_TASK = "lift"


@dataclass(frozen=True)
class Options:
    """What was asked for on the command line; ``None``: as the run has it, or the default."""

    task: str | None = None
    agent: str | None = None
    rig: str | None = None
    twin: str | None = None
    seed: int | None = None
    sets: tuple[str, ...] = ()
    reward: str | None = None


@dataclass(frozen=True)
class Recipe:
    """The resolved settings of a run; ``to_dict`` is what ``config.yaml`` and checkpoints carry."""

    task: str
    seed: int
    agent_name: str
    agent: AgentSettings
    rig: RigSettings
    twin: Settings
    task_settings: Settings
    train: TrainSettings
    reward: RewardSettings = RewardSettings()

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values, one mapping a group; ``resolve(Options(), values)`` is the inverse."""
        return {
            "task_name": self.task,
            "seed": self.seed,
            "agent_name": self.agent_name,
            "agent": self.agent.model_dump(mode="json"),
            "rig": self.rig.model_dump(mode="json"),
            "twin": self.twin.model_dump(mode="json"),
            "task": self.task_settings.model_dump(mode="json"),
            "train": self.train.model_dump(mode="json"),
            "reward": self.reward.model_dump(mode="json"),
        }

    def to_yaml(self) -> str:
        """The same as YAML text."""
        return yaml.safe_dump(self.to_dict(), sort_keys=False, default_flow_style=None, width=100)


def resolve(
    options: Options, base: dict[str, Any] | None = None, base_name: str = "config.yaml"
) -> Recipe:
    """Settings from shipped profiles or files, or from a run's ``base``, with ``--set`` on top.

    Args:
        base: what an existing run was made with (``Recipe.to_dict``); options override it.
        base_name: how errors call it.
    Raises:
        ConfigError: unknown task, profile, group, key or value.
    """
    with hush():
        from handful_twin.settings import TwinSettings
        from handful_twin.tasks import TASKS

    sets = parse_overrides(options.sets)
    unknown = sorted(set(sets) - set(GROUPS))
    if unknown:
        raise ConfigError(
            f"--set {unknown[0]}.…: no such group of settings; there are: {', '.join(GROUPS)}"
        )
    old = dict(base or {})
    if old.get("agent", {}).get("clone", {}).get("only"):  # its steps were none by its own nature
        old["train"] = {k: v for k, v in old.get("train", {}).items() if k != "steps"}
    task = options.task or str(old.get("task_name", DEFAULT_TASK))
    if task not in TASKS:
        raise ConfigError(f"--task {task}: no such task; there are: {', '.join(sorted(TASKS))}")
    seed = options.seed if options.seed is not None else int(old.get("seed", 0))
    episode_seed(Purpose.DEMO, seed, 0)
    same_task = task == old.get("task_name")

    def group(name: str, schema: type[Settings], given: str | None, shipped: str) -> Any:
        overrides = sets.get(name)
        if given is None and name in old and (name != "task" or same_task):
            return build(schema, dict(old[name]), f"{base_name}: {name}", overrides)
        return load(schema, given or shipped, overrides)

    agent_name = options.agent or str(old.get("agent_name", DEFAULT_AGENT))
    agent = group(
        "agent", AgentSettings, options.agent and profile(options.agent), f"agent/{DEFAULT_AGENT}"
    )
    rig = group("rig", RigSettings, options.rig, "rig")
    train = group("train", TrainSettings, None, "train")
    if agent.clone.only:
        if sets.get("train", {}).get("steps"):
            raise ConfigError(
                f"train.steps={sets['train']['steps']}: the agent {agent_name!r} clones and "
                "nothing else (agent.clone.only), so no step teaches it anything; leave it out"
            )
        train = train.model_copy(update={"steps": 0})
    return Recipe(
        task=task,
        seed=seed,
        agent_name=agent_name,
        agent=agent,
        rig=follow(rig, agent, sets.get("rig", {})),
        twin=group("twin", TwinSettings, options.twin, "twin"),
        task_settings=group("task", TASKS[task].settings_class, None, TASKS[task].source()),
        train=train,
        reward=group("reward", RewardSettings, options.reward, "reward").anchored(Path.cwd()),
    )


def profile(agent: str) -> str:
    """``lean`` is the shipped ``agent/lean``; a path with ``.yaml`` stays what it is."""
    return agent if agent.endswith((".yaml", ".yml")) else f"agent/{agent.removeprefix('agent/')}"


def follow(rig: RigSettings, agent: AgentSettings, asked: dict[str, Any]) -> RigSettings:
    """The rig as the agent needs it: its cameras, its picture size, its frame stack.

    A camera that delivers exactly the size the policy sees goes on doing so when that size changes
    (nothing is rendered to be thrown away); one with a size or crop of its own keeps it.

    Raises:
        ConfigError: ``--set rig.observe...`` contradicts the agent, the agent wants a camera that
            the rig does not have, or none at all.
    """
    if agent.from_state:
        raise ConfigError(
            "agent.cameras: [] learns from the state alone, and the state of a cell does not say "
            "where things are; take an agent that looks, or a benchmark with a state of its own"
        )
    needs = {"observe.image_px": agent.image_px, "observe.frame_stack": agent.frame_stack}
    for key, value in needs.items():
        if key in asked and asked[key] != value:
            raise ConfigError(
                f"--set rig.{key}={asked[key]}: this agent needs {value}; "
                "change agent.encoder.input_px or agent.frame_stack instead, the rig follows"
            )
    names = agent.cameras or tuple(rig.cameras)
    missing = [name for name in names if name not in rig.cameras]
    if missing:
        raise ConfigError(
            f"agent.cameras: the rig has no camera {missing[0]!r}; it has: {', '.join(rig.cameras)}"
        )
    before, side = rig.observe.image_px, agent.image_px
    cameras = {}
    for name in names:
        camera = rig.cameras[name]
        if camera.crop_px is None and (camera.width_px, camera.height_px) == (before, before):
            camera = camera.model_copy(update={"width_px": side, "height_px": side})
        cameras[name] = camera
    observe = rig.observe.model_copy(update={"image_px": side, "frame_stack": agent.frame_stack})
    return rig.model_copy(update={"cameras": cameras, "observe": observe})


def differences(old: dict[str, Any], new: dict[str, Any], prefix: str = "") -> list[str]:
    """Dotted keys whose values differ between two nested mappings, as ``key: old -> new``.

    Single values come before groups: "another task" explains the twenty keys that follow from it.
    """
    found = []
    keys = set(old) | set(new)
    for key in sorted(keys, key=lambda k: (isinstance(new.get(k, old.get(k)), dict), k)):
        a, b = old.get(key), new.get(key)
        if isinstance(a, dict) and isinstance(b, dict):
            found += differences(a, b, f"{prefix}{key}.")
        elif _plain(a) != _plain(b):
            found.append(f"{prefix}{key}: {_plain(a)} -> {_plain(b)}")
    return found


def flatten(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings as dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _plain(value: Any) -> Any:
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
