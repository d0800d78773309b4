"""A task put up in a world, with its arm and its eyes: what every way of running the twin shares.

``TwinTaskEnv`` steps it in the rig's control loop, ``live.LiveTwin`` lets it run beside a clock;
the same seed gives both the same start, to the last bit.
"""

import numpy as np
from numpy.typing import NDArray

from handful.config import ConfigError
from handful.contract import Command
from handful.rig.settings import RigSettings
from handful_twin.randomize import Draw, draw, episode_rng
from handful_twin.renderers import make_renderer
from handful_twin.scene import Scene
from handful_twin.settings import TwinSettings
from handful_twin.tasks import Task, Truth
from handful_twin.twin_arm import TwinArm
from handful_twin.twin_camera import TwinCamera
from handful_twin.world import Motors, World

_SETTLE_STEPS = 12  # physics steps after a reset, so that boxes rest before the first picture
_IK_ITERATIONS = 100


class Stage:
    """One world of one task. eyes: every camera of the twin by name, those of the rig open.

    draw: what is different in this episode, by ``twin.randomize`` and the episode's seed; put on
    the world, the arm, the eyes and the renderer, but for its delays, which are for whoever lets
    time pass.

    Raises:
        ConfigError: the rig has a camera that the twin does not know, or a tag is on a thing that
            the task does not have.
    """

    def __init__(self, task: Task, rig: RigSettings, twin: TwinSettings) -> None:
        missing = sorted(set(rig.cameras) - set(twin.cameras))
        if missing:
            raise ConfigError(
                f"the rig has cameras the twin does not know: {', '.join(missing)}; "
                f"twin.cameras has {', '.join(sorted(twin.cameras))}"
            )
        self.task, self.rig, self.twin = task, rig, twin
        self.world = World(twin, task.bodies())
        self.arm = TwinArm(self.world)
        self.scene = Scene(self.world, twin.visuals, twin.tags)
        self.renderer = make_renderer(
            self.scene, twin.renderer, twin.antialias, full=twin.visuals == "full"
        )
        self.eyes = {
            name: TwinCamera(name, self.world, self.renderer, where, rig.cameras.get(name))
            for name, where in twin.cameras.items()
        }
        self.cameras = {name: self.eyes[name] for name in rig.cameras}
        for camera in self.cameras.values():
            camera.open()
        self.draw = Draw()
        self._varies = bool(twin.randomize) or bool(twin.delay)
        self._start_q_rad, _ = self.world.model.solve_down(
            self.world.model.home_rad, np.array([0.49, 0.0, 0.2]), 0.0, _IK_ITERATIONS, 1e-9
        )

    def put_up(self, seed: int, draw: Draw | None = None) -> None:
        """The scene of this seed at world time 50 ms: bodies at rest, the arm at its start.

        draw: put on first; the seed's own by default.
        """
        if draw is not None or self._varies:
            self.wear(self.drawn(seed) if draw is None else draw)
        start = self.task.sample(np.random.default_rng(seed))
        q_rad, _ = self.world.model.solve_down(
            self._start_q_rad, start.p_BT_m, start.yaw_rad, _IK_ITERATIONS, 1e-9
        )
        q_rad = self.arm.real_rad(q_rad)
        self.world.reset(q_rad, start.gripper_m, start.poses, start.joints)
        grip_m = start.gripper_m if start.grip_m is None else start.grip_m
        if start.grip_m is not None:
            self.world.command(Motors(q_rad, grip_m))
        self.world.advance(_SETTLE_STEPS)
        self.arm.target = Command(start.p_BT_m, start.yaw_rad, grip_m)

    def drawn(self, seed: int) -> Draw:
        """What is different in the episode of this seed."""
        things = list(self.world.frames)
        twin = self.twin
        return draw(
            twin.randomize,
            twin.delay,
            episode_rng(seed),
            list(twin.cameras),
            things,
            self.world.model.dof,
        )

    def wear(self, draw: Draw) -> None:
        """Put a draw on; what the one before changed and this one does not is undone.

        Of the policy's cameras alone: those for people stay where they are.
        """
        self.draw = draw
        self.world.tune(draw.tuning)
        self.arm.encoders = draw.encoders
        self.renderer.wear(draw.dress)
        for name, camera in self.cameras.items():
            camera.be(draw.eyes.get(name), draw.sensors.get(name))

    def truth(self) -> Truth:
        """What only the simulator knows, now: for judges, demonstrators and tests, not policies."""
        state = self.arm.truth()
        bodies = {name: self.world.body_pose(name) for name in self.world.frames}
        return Truth(state.p_BT_m, state.gripper_m, bodies)

    def picture(self, camera: str, size: tuple[int, int]) -> NDArray[np.uint8]:
        """What an eye sees now, (H, W, 3) uint8 RGB; size is (height, width) [px].

        Raises:
            ConfigError: no such camera.
        """
        if camera not in self.eyes:
            raise ConfigError(f"no camera {camera!r}; the twin has {', '.join(sorted(self.eyes))}")
        return self.eyes[camera].picture(*size)

    def close(self) -> None:
        """Let cameras and physics go; twice is safe."""
        for camera in self.cameras.values():
            camera.close()
        self.renderer.close()
        self.world.close()
