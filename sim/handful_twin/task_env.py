"""A task in the twin, driven by the rig's own control loop: actions in, transitions out."""

import copy
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from handful.config import load
from handful.contract import ArmState, Command, Observation, Spec, Transition
from handful.rig.action import ActionScaler
from handful.rig.arm import ArmError
from handful.rig.camera import Camera
from handful.rig.episode import EpisodeError, EpisodeTable, Phase
from handful.rig.loop import ControlLoop
from handful.rig.settings import RigSettings
from handful_twin.delays import Latency
from handful_twin.late import LateCamera, LateClock, LateState
from handful_twin.randomize import Draw
from handful_twin.settings import TwinSettings
from handful_twin.stage import Stage
from handful_twin.tasks import Task, Truth, make_task
from handful_twin.twin_arm import ArmLine
from handful_twin.world import WorldState


@dataclass(frozen=True)
class EnvState:
    """A saved moment of a ``TwinTaskEnv``; only the environment that made it can go back to it."""

    world: WorldState
    target: Command
    table: EpisodeTable
    observation: Observation
    step_m: NDArray[np.float64]
    draw: Draw
    commands: ArmLine
    pictures: dict[str, LateState]

    def drop(self) -> None:
        """Give back Bullet's copy now, not when the last reference goes; twice is safe."""
        self.world.drop()


class TwinTaskEnv:
    """One task, one world, one arm, the rig's cameras; any number of them per process.

    Built on ``rig.loop.ControlLoop`` with the twin's camera, arm and clock, so observation,
    scaling, guard and episode table are the very objects the physical cell uses.

    Reward is 1 on the step that completes a held success and 0 on every other. The hold count is
    not in the observation (a policy on a robot has none either): near the goal up to
    ``hold_steps - 1`` steps look alike, which discounts their value by at most that many steps and
    changes no preference between actions, because staying is best in all of them.
    """

    def __init__(self, task: Task, rig: RigSettings, twin: TwinSettings) -> None:
        self.task, self.rig, self.twin = task, rig, twin
        self.stage = Stage(task, rig, twin)
        self.world, self.arm, self.scene = self.stage.world, self.stage.arm, self.stage.scene
        self._eyes = {
            name: LateCamera(eye, self.world, rig.period_s)
            for name, eye in self.stage.cameras.items()
        }
        self.clock = LateClock(self.world, self.arm, list(self._eyes.values()))
        self.cameras = dict(self.stage.cameras)
        looked_at: dict[str, Camera] = dict(self._eyes)
        self._scaler = ActionScaler(rig.action)
        self._loop = ControlLoop(rig, looked_at, self.arm, self.clock)
        self._table = EpisodeTable(task.settings.horizon_steps, task.settings.hold_steps)
        self._seen: Observation | None = None
        self._step_m = np.zeros(3)

    @property
    def spec(self) -> Spec:
        """Shapes of what ``reset`` and ``step`` return and of what ``step`` takes."""
        return self._loop.spec

    @property
    def draw(self) -> Draw:
        """What ``twin.randomize`` and ``twin.delay`` made of this episode."""
        return self.stage.draw

    @property
    def horizon(self) -> int:
        """Steps after which an episode is out of time."""
        return int(self.task.settings.horizon_steps)

    @property
    def hold_steps(self) -> int:
        """Steps in a row on which the success predicate must hold."""
        return int(self.task.settings.hold_steps)

    def reset(self, seed: int) -> Observation:
        """Begin the episode of this seed; the same seed gives the same bits, always."""
        if self._table.phase is Phase.FAULTED:
            self._table.idle()
        self._table.reset()
        self.stage.put_up(seed)
        self.arm.begin(self.draw.commands)
        for name, eye in self._eyes.items():
            eye.begin(self.draw.frames.get(name, Latency()))
        self._table.start()
        self._step_m = np.zeros(3)
        self._seen = self._loop.begin()
        return self._seen

    def step(self, action: ArrayLike) -> Transition:
        """One tick of the control loop.

        An arm that cannot go where it is sent (with yaw in the action, wound up to a joint limit)
        holds, and the episode ends as a fault: reward 0, discount 0, the reason as the verdict.

        Args:
            action: (A,) finite, in [-1, 1]; see ``rig.action``.
        Raises:
            ActionError: wrong shape or not finite; the arm holds and the episode stands.
            EpisodeError: before ``reset`` or after the last step of an episode.
        """
        if self._table.phase is not Phase.RUNNING:
            raise EpisodeError(
                f"step needs a running episode, this one is {self._table.phase.value}; "
                "call reset(seed) first"
            )
        try:
            tick = self._loop.tick(action)
        except ArmError as error:
            self._table.fault(str(error))
            held = self._scaler.to_action(self.arm.target, self.arm.state())
            tick = self._loop.tick(held)
        self._seen, self._step_m = tick.observation, tick.judged.step_m
        truth = self.truth()
        met = self.task.success(truth)
        if self._table.phase is Phase.RUNNING:
            self._table.advance(met)
        return Transition(
            action=tick.judged.executed,
            reward=self._table.reward,
            discount=self._table.discount,
            next_observation=tick.observation,
            last=self._table.last,
            info={
                "success": self._table.reward > 0.0,
                "at_goal": met,
                "verdict": self._table.fault_reason or tick.judged.status,
                "distance_m": self.task.distance_m(truth),
                **truth.told(),
            },
            asked=np.array(action, np.float32),
        )

    def save(self) -> EnvState:
        """This moment of a begun episode, to ``restore`` as often as wanted."""
        if self._seen is None:
            raise EpisodeError("save needs a begun episode; call reset(seed)")
        return EnvState(
            self.world.save(), self.arm.target, copy.copy(self._table), self._seen, self._step_m,
            self.draw, self.arm.save_line(),
            {name: eye.save() for name, eye in self._eyes.items()},
        )  # fmt: skip

    def restore(self, state: EnvState) -> Observation:
        """Go back to a moment saved by this environment; what follows is bit-identical.

        Returns the observation of that moment.
        """
        if state.draw is not self.draw:
            self.stage.wear(state.draw)
        self.world.restore(state.world)
        self.arm.target = state.target
        self.arm.restore_line(state.commands)
        for name, eye in self._eyes.items():
            eye.restore(state.pictures[name])
        self._table = copy.copy(state.table)
        self._seen, self._step_m = state.observation, state.step_m
        self._loop.resume(state.observation, state.step_m)
        return state.observation

    def truth(self) -> Truth:
        """What only the simulator knows, now: for judges, demonstrators and tests, not policies."""
        return self.stage.truth()

    def arm_state(self) -> ArmState:
        """The arm as the rig reads it."""
        return self.arm.state()

    def render(
        self, camera: str | None = None, size: tuple[int, int] | None = None
    ) -> NDArray[np.uint8]:
        """What a twin camera sees now, (H, W, 3) uint8 RGB; any size has the same field of view.

        Args:
            camera: a name in ``twin.cameras``; the rig's first by default.
            size: (height, width) [px]; (256, 256) by default.
        Raises:
            ConfigError: no such camera.
        """
        name = camera or next(iter(self.rig.cameras))
        return self.stage.picture(name, size or (256, 256))

    def close(self) -> None:
        """Let cameras and physics go; twice is safe."""
        self.stage.close()


def make_env(
    task: str, rig: RigSettings | None = None, twin: TwinSettings | None = None
) -> TwinTaskEnv:
    """The environment of a task name, with the shipped settings where none are given."""
    return TwinTaskEnv(
        make_task(task),
        rig if rig is not None else load(RigSettings, "rig"),
        twin if twin is not None else load(TwinSettings, "twin"),
    )
