"""What one run of ``handful bench dmc`` is: task, method, seed and protocol, resolved and checked.

Everything that cannot work is refused here, in one sentence, before anything is rendered.
"""

import re
from dataclasses import asdict, dataclass
from typing import Any, Literal

from pydantic import Field

from handful.config import ConfigError, Settings, build, load, parse_overrides, read
from handful.contract import Spec
from handful.learn.settings import AgentSettings
from handful.workflow.dmc_simulators import Simulator, find_task, make_simulator
from handful.workflow.recipe import profile

Physics = Literal["published", "installed"]
"""What a capsule weighs: as in the papers' MuJoCo (``dmc_physics``), or in the one that is here."""

CAMERA = "scene"
"""Name of the one camera, where a profile does not name its own."""


class BenchSettings(Settings):
    """``config/bench/dmc.yaml``: the protocol, in environment steps."""

    budget_env_steps: int = Field(ge=1)
    eval_every_env_steps: int = Field(ge=1)
    eval_episodes: int = Field(ge=1)
    default_repeat: int = Field(ge=1)
    gymnasium_repeat: int = Field(ge=1)
    repeats: dict[str, int] = {}
    published_physics: list[str] = []
    groups: dict[str, list[str]] = {}
    overrides: dict[str, dict[str, dict[str, float]]] = {}


@dataclass(frozen=True)
class Ask:
    """What was asked for on the command line; None: as ``config/bench/dmc.yaml`` has it."""

    task: str
    method: str
    seed: int
    sets: tuple[str, ...] = ()
    name: str | None = None
    budget_env_steps: int | None = None
    repeat: int | None = None
    eval_every_env_steps: int | None = None
    eval_episodes: int | None = None
    physics: Physics | None = None


@dataclass(frozen=True)
class Plan:
    """One run. Steps are environment steps, agent steps x ``repeat``, where not said otherwise."""

    task: str
    method: str
    name: str
    seed: int
    repeat: int
    budget_env_steps: int
    eval_every_env_steps: int
    eval_episodes: int
    physics: Physics
    agent: AgentSettings

    @property
    def agent_steps(self) -> int:
        """Decisions in the whole run."""
        return self.budget_env_steps // self.repeat

    def marks(self) -> list[int]:
        """Environment steps at which the policy is evaluated, the budget itself the last."""
        every, budget = self.eval_every_env_steps, self.budget_env_steps
        return [*range(every, budget, every), budget]

    def spec(self, simulator: Simulator) -> Spec:
        """The shapes the agent is built for: pictures alone, or the state alone."""
        agent, cameras = self.agent, cameras_of(self.agent)
        return Spec(
            cameras,
            agent.image_px,
            agent.image_px,
            agent.frame_stack,
            0 if cameras else simulator.state_dim,
            simulator.action_dim,
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; two runs with equal values are the same run."""
        return {**asdict(self), "agent": self.agent.model_dump(mode="json")}


def cameras_of(agent: AgentSettings) -> tuple[str, ...]:
    """The cameras of a profile: none for one that learns from the state."""
    return (CAMERA,) if agent.cameras is None else agent.cameras


def task_groups() -> dict[str, list[str]]:
    """Words for several tasks at once, and the tasks they stand for."""
    return load(BenchSettings, "bench/dmc").groups


def tasks_of(text: str) -> list[str]:
    """The words of ``--task``, a group's name replaced by the tasks it stands for."""
    groups = task_groups()
    return [task for word in text.split(",") for task in groups.get(word.strip(), [word.strip()])]


def resolve(ask: Ask) -> Plan:
    """Settings from the shipped protocol and profile, with what was asked for on top.

    Raises:
        ConfigError: unknown task, profile, key or value; numbers that do not divide; a method and
            a task that cannot go together.
    """
    bench = load(BenchSettings, "bench/dmc")
    task = find_task(ask.task)
    default = bench.default_repeat if task.suite == "dm_control" else bench.gymnasium_repeat
    repeat = _first(ask.repeat, bench.repeats.get(task.name, default))
    budget = _first(ask.budget_env_steps, bench.budget_env_steps)
    every = min(_first(ask.eval_every_env_steps, bench.eval_every_env_steps), budget)
    if repeat < 1:
        raise ConfigError(f"--repeat {repeat}: expected 1 or more environment steps a decision")
    for option, value in (("--steps", budget), ("--eval-every", every)):
        if value < 1 or value % repeat:
            raise ConfigError(
                f"{option} {value}: expected a multiple of the action repeat of {task.name}, "
                f"which is {repeat}; for example {max(1, round(value / repeat)) * repeat}"
            )
    agent = _agent(ask, bench, task.name)
    cameras = cameras_of(agent)
    if len(cameras) > 1:
        raise ConfigError(
            f"--method {ask.method}: looks through {len(cameras)} cameras "
            f"({', '.join(cameras)}), a benchmark task has one; set agent.cameras to one name"
        )
    if cameras and task.suite == "gymnasium":
        raise ConfigError(
            f"--method {ask.method}: learns from pixels, but {task.name} gives a state only; use "
            "a method that learns from the state (agent.cameras: []), or a task of dm_control"
        )
    if agent.clone.proposal or agent.clone.init_actor or agent.encoder.trained_by == "pretraining":
        raise ConfigError(
            f"--method {ask.method}: begins with demonstrations, and these tasks have none; "
            "use curl, rad, drq, sac or state"
        )
    if cameras and agent.proprioception:
        raise ConfigError(
            f"--method {ask.method}: reads a state beside the pictures, and the protocol gives "
            "pixels only; add --set agent.proprioception=false"
        )
    usual: Physics = "published" if task.name in bench.published_physics else "installed"
    physics = ask.physics or usual
    if physics == "published" and task.suite == "gymnasium":
        raise ConfigError(
            f"--physics published: {task.name} is Gymnasium's; the older masses are known of "
            "dm_control's tasks only; leave the option out"
        )
    if agent.start_steps >= budget // repeat:
        raise ConfigError(
            f"--steps {budget}: {budget // repeat} decisions, and the first "
            f"{agent.start_steps} are random: nothing would be learned; give more steps"
        )
    episodes = _first(ask.eval_episodes, bench.eval_episodes)
    return Plan(
        task.name,
        ask.method,
        ask.name or _label(ask),
        ask.seed,
        repeat,
        budget,
        every,
        episodes,
        physics,
        agent,
    )


def simulator_of(plan: Plan) -> Simulator:
    """A new, independent instance of the plan's task."""
    pictures = bool(cameras_of(plan.agent))
    return make_simulator(find_task(plan.task), pictures, plan.physics == "published")


def told_name(head: dict[str, Any]) -> str:
    """A result's name for tables and charts: with a word where its physics is not the papers'."""
    known = load(BenchSettings, "bench/dmc").published_physics
    newer = head["task"] in known and head.get("physics", "installed") == "installed"
    return f"{head['name']} (MuJoCo from 2.1.1)" if newer else str(head["name"])


def _agent(ask: Ask, bench: BenchSettings, task: str) -> AgentSettings:
    groups = parse_overrides(ask.sets)
    unknown = sorted(set(groups) - {"agent"})
    if unknown:
        raise ConfigError(f"--set {unknown[0]}.…: no such group of settings here; there is: agent")
    values, name = read(profile(ask.method))
    for_task = bench.overrides.get(ask.method, {}).get(task, {})
    return build(AgentSettings, values, name, {**for_task, **groups.get("agent", {})})


def _label(ask: Ask) -> str:
    """The folder of the results: the method, and what was changed about it."""
    base = re.sub(r"\.ya?ml$", "", ask.method.rsplit("/", 1)[-1])
    changed = [s.strip().removeprefix("agent.") for s in ask.sets]
    told = [s for s in changed if not s.startswith("threads")]
    if ask.repeat is not None:
        told.append(f"repeat={ask.repeat}")
    if ask.physics is not None:
        told.append(f"physics={ask.physics}")
    return re.sub(r"[^A-Za-z0-9_.=+-]", "_", "+".join([base, *told]))


def _first(asked: int | None, default: int) -> int:
    return default if asked is None else asked
