"""The twin behind the rig's ``Arm`` and ``Clock`` doors: IK, position control, virtual time."""

import math

import numpy as np
from numpy.typing import NDArray

from handful.contract import ArmState, Command
from handful.rig.arm import ArmError
from handful_twin import kinematics
from handful_twin.world import FINGER_MAX_M, Motors, World

Array = NDArray[np.float64]

#: A pose the solver misses by more than this (norm of metres and radians) is out of reach.
REACH_TOLERANCE = 1e-3
_IK_ITERATIONS = 30
_IK_TOLERANCE = 1e-7


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
    """A simulated Panda as the rig sees it; its tool always points straight down.

    target: the last accepted command. Whoever resets or restores the world puts it right.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._frames = np.empty((kinematics.FRAMES, 4, 4))
        self._jacobian = np.empty((6, kinematics.JOINTS))
        self.target = Command(np.zeros(3), 0.0, 0.0)
        measured = self.state()
        self.target = Command(measured.p_BT_m, measured.yaw_rad, measured.gripper_m)

    def state(self) -> ArmState:
        """Measured from the joints through the arm's own kinematics, as on a real one."""
        return self.measured(*self._world.joints())

    def measured(self, q_rad: Array, velocity: Array) -> ArmState:
        """The state that joint readings (9,) [rad, m] and their speeds (9,) amount to."""
        kinematics.forward(q_rad, self._frames)
        kinematics.jacobian(self._frames, self._jacobian)
        tip = self._frames[kinematics.TIP]
        return ArmState(
            stamp_s=self._world.time_s,
            p_BT_m=tip[:3, 3].copy(),
            # R_BT = Rz(yaw) diag(1, -1, -1): pointing down, with the opening along B's y at yaw 0.
            yaw_rad=math.atan2(tip[0, 1], -tip[1, 1]),
            gripper_m=float(q_rad[7] + q_rad[8]),
            v_BT_m_s=self._jacobian[:3] @ velocity[:7],
            q_rad=q_rad[:7].copy(),
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
        q_rad, error = kinematics.solve_down(
            self._world.motors.q_rad, p_BT_m, yaw_rad, _IK_ITERATIONS, _IK_TOLERANCE
        )
        if error > REACH_TOLERANCE:
            raise ArmError(
                f"twin arm: tip {p_BT_m.round(3).tolist()} m at yaw {yaw_rad:.3f} rad is out of "
                f"reach (missed by {error:.3f}); keep guard.workspace_* inside the arm's reach"
            )
        gripper_m = min(max(gripper_m, 0.0), 2.0 * FINGER_MAX_M)
        self._world.command(Motors(q_rad, gripper_m))
        self.target = Command(p_BT_m, yaw_rad, gripper_m)

    def stop(self) -> None:
        """Hold at the measured pose: the measured joints become the motors' targets."""
        self.hold(self.state().gripper_m)

    def hold(self, gripper_m: float) -> None:
        """The same with a grip of its own [m]: at the measured one, fingers let go of things."""
        state = self.state()
        gripper_m = min(max(gripper_m, 0.0), 2.0 * FINGER_MAX_M)
        self._world.command(Motors(state.q_rad, gripper_m))
        self.target = Command(state.p_BT_m, state.yaw_rad, gripper_m)
