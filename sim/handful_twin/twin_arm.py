"""The twin behind the rig's ``Arm`` and ``Clock`` doors: IK, position control, virtual time."""

import math

import numpy as np
from numpy.typing import NDArray

from handful.contract import ArmState, Command
from handful.rig.arm import ArmError
from handful_twin.delays import InFlight, Item, Latency
from handful_twin.sensor import Encoders
from handful_twin.world import Motors, World

Array = NDArray[np.float64]
ArmLine = tuple[Latency, int, tuple[tuple[Item[Motors], ...], float]]

#: A pose the solver misses by more than this (norm of metres and radians) is out of reach.
REACH_TOLERANCE = 1e-3
_IK_ITERATIONS = 30
_IK_TOLERANCE = 1e-7
_EARLY = 1.001e-3  # of a physics step: a hair more than what the world rounds away


class TwinClock:
    """The world's own time: waiting is stepping physics."""

    def __init__(self, world: World) -> None:
        self._world = world

    def now_s(self) -> float:
        """Simulated seconds since the last reset."""
        return self._world.time_s

    def sleep_until(self, stamp_s: float) -> None:
        """Step physics until ``stamp_s``."""
        self._world.advance_until(stamp_s)


class TwinArm:
    """A simulated arm as the rig sees it; its tool always points straight down.

    target: the last accepted command. Whoever resets or restores the world puts it right.
    encoders: what it measures with; None: without fault. With a latency (``begin``) a command
    changes the target at once, so that steps add up on what was commanded, and the motors later,
    when somebody calls ``arrive`` at ``next_s``.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self.encoders: Encoders | None = None
        self.latency = Latency()
        self.line: InFlight[Motors] = InFlight()
        self.sent, self._late = 0, False
        self._model = world.model
        self._frames = self._model.frames()
        self._jacobian = np.empty((6, self._model.dof))
        self.target = Command(np.zeros(3), 0.0, 0.0)
        measured = self.state()
        self.target = Command(measured.p_BT_m, measured.yaw_rad, measured.gripper_m)

    def state(self) -> ArmState:
        """Measured from the joints through the arm's own kinematics, as on a real one."""
        q_rad, velocity = self._world.joints()
        if self.encoders is not None:
            q_rad = self.encoders.read(q_rad, self._world.steps)
        return self.measured(q_rad, velocity)

    def truth(self) -> ArmState:
        """The same without the encoders' faults."""
        return self.measured(*self._world.joints())

    def measured(self, q_rad: Array, velocity: Array) -> ArmState:
        """The state that joint readings (N + M,) [rad, m] and their speeds alike amount to."""
        model, joints = self._model, self._model.dof
        model.forward(q_rad, self._frames)
        model.jacobian(self._frames, self._jacobian)
        tip = self._frames[model.tip]
        return ArmState(
            stamp_s=self._world.time_s,
            p_BT_m=tip[:3, 3].copy(),
            # R_BT = Rz(yaw) diag(1, -1, -1): pointing down, with the opening along B's y at yaw 0.
            yaw_rad=math.atan2(tip[0, 1], -tip[1, 1]),
            gripper_m=model.opening(q_rad),
            v_BT_m_s=self._jacobian[:3] @ velocity[:joints],
            q_rad=q_rad[:joints].copy(),
            target_p_BT_m=self.target.p_BT_m.copy(),
            target_yaw_rad=self.target.yaw_rad,
            target_gripper_m=self.target.gripper_m,
        )

    def send(self, command: Command) -> None:
        """Solve for joints and set the motors' targets.

        Raises:
            ArmError: not finite, or out of the arm's reach; nothing changes then.
        """
        p_BT_m = np.array(command.p_BT_m, np.float64)
        yaw_rad, gripper_m = float(command.yaw_rad), float(command.gripper_m)
        if p_BT_m.shape != (3,) or not np.isfinite([*p_BT_m, yaw_rad, gripper_m]).all():
            raise ArmError(f"twin arm: command must be finite with a (3,) position, got {command}")
        q_rad, error = self._model.solve_down(
            self._asked_rad(), p_BT_m, yaw_rad, _IK_ITERATIONS, _IK_TOLERANCE
        )
        if error > REACH_TOLERANCE:
            raise ArmError(
                f"twin arm: tip {p_BT_m.round(3).tolist()} m at yaw {yaw_rad:.3f} rad is out of "
                f"reach (missed by {error:.3f}); keep guard.workspace_* inside the arm's reach"
            )
        gripper_m = min(max(gripper_m, 0.0), self._model.opening_m)
        motors = Motors(self.real_rad(q_rad), gripper_m)
        if self._late:
            self.line.send(self._world.time_s, self.latency.of(self.sent), motors)
            self.sent += 1
        else:
            self._world.command(motors)
        self.target = Command(p_BT_m, yaw_rad, gripper_m)

    def stop(self) -> None:
        """Hold at the measured pose: the measured joints become the motors' targets."""
        self.hold(self.state().gripper_m)

    def hold(self, gripper_m: float) -> None:
        """The same with a grip of its own [m]: at the measured one, fingers let go of things.

        At once, and whatever is still on its way is forgotten: the arm does it by itself.
        """
        state = self.state()
        gripper_m = min(max(gripper_m, 0.0), self._model.opening_m)
        self.line.clear()
        self._world.command(Motors(self.real_rad(state.q_rad), gripper_m))
        self.target = Command(state.p_BT_m, state.yaw_rad, gripper_m)

    def begin(self, latency: Latency) -> None:
        """An episode begins: no command is on its way, and these are its delays."""
        self.latency, self.sent, self._late = latency, 0, bool(latency)
        self.line.clear()

    def save_line(self) -> ArmLine:
        """What is on its way, for ``restore_line``."""
        return self.latency, self.sent, self.line.snapshot()

    def restore_line(self, state: ArmLine) -> None:
        """Go back to a moment of ``save_line``."""
        self.latency, self.sent, line = state
        self._late = bool(self.latency)
        self.line.put_back(line)

    def next_s(self) -> float:
        """When the next command arrives, in the world's time [s]; infinity when none is due."""
        return self.line.next_s()

    def arrive(self) -> None:
        """Obey what has arrived by now."""
        early_s = _EARLY / self._world.settings.physics_rate_hz
        while self.line.next_s() <= self._world.time_s + early_s:
            self._world.command(self.line.pop().value)

    def real_rad(self, q_rad: Array) -> Array:
        """Real joints (N,) that the encoders read as ``q_rad``, noise apart."""
        return q_rad if self.encoders is None else q_rad - self.encoders.offset_rad

    def _asked_rad(self) -> Array:
        """Joints (N,) of the newest command, as the encoders read them."""
        newest = self.line.newest()
        q_rad = self._world.motors.q_rad if newest is None else newest.q_rad
        return q_rad if self.encoders is None else q_rad + self.encoders.offset_rad
