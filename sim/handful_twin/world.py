"""One physics client: arm, table and a task's bodies, loaded once; stepped, saved and restored.

Everything here is bit-identical for the same calls: ``deterministicOverlappingPairs`` is on, a
reset restores a state saved before anything ever touched, and what Bullet forgets to restore
(motor targets, contact caches) is put right.
"""

import math
import weakref
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pybullet
from numpy.typing import NDArray

from handful_twin.arm_loaded import add_arm
from handful_twin.arm_model import arm_model
from handful_twin.bodies import (
    Body,
    Box,
    Carrier,
    Pose,
    Vector,
    add_box,
    add_fixture,
    frame_pose,
    shapes,
)
from handful_twin.client import Client, WorldError
from handful_twin.settings import TwinSettings
from handful_twin.tuning import Dynamics, Tuning

Array = NDArray[np.float64]

TABLE_SIZE_M = (0.7, 1.0, 0.05)
TABLE_CENTRE_M = (0.5, 0.0, -0.025)
_PARKED_M = (0.0, 0.0, -5.0)  # of the first thing; the others beside it
_PARKED_APART_M = 1.0
_FRICTION = 1.0
_FINGERS, _TABLE = "(fingers)", "table"  # how tunings call what is not a task's


@dataclass(frozen=True)
class Motors:
    """The last motor command: q_rad (N,), opening between the pads [m]."""

    q_rad: Array
    gripper_m: float


class WorldState:
    """A saved moment of one world; gives its memory back when it is dropped."""

    def __init__(
        self, client: Client, bullet_id: int, steps: int, motors: Motors, tuning: Tuning
    ) -> None:
        self.bullet_id, self.steps, self.motors = bullet_id, steps, motors
        self.tuning = tuning
        self._client = client
        self._release = weakref.finalize(self, client.remove_state, bullet_id)

    def belongs_to(self, client: Client) -> bool:
        """Was it saved there, and not dropped since?"""
        return self._client is client and self._release.alive

    def drop(self) -> None:
        """Free Bullet's copy (250 kB); twice is safe."""
        self._release()


class World:
    """The simulated cell. One per process or many; they share nothing.

    things: name -> ``Box`` or ``Fixture``; all are loaded at once and kept below the floor until
    placed. bodies: the free boxes. frames: every frame of the things, moving parts included.
    shapes: the boxes each of those frames carries. model: the arm; arm: Bullet's number of it;
    links: URDF link -> Bullet's index of it, -1 for the root; arm_joints, finger_joints: theirs.
    """

    def __init__(self, settings: TwinSettings, things: Mapping[str, Body]) -> None:
        self.settings, self.shapes = settings, shapes(dict(things))
        self._client = Client()
        self.client = self._client.id
        self._close = weakref.finalize(self, self._client.disconnect)
        self._dt_s = 1.0 / settings.physics_rate_hz
        self._set_engine()
        self.model = arm_model(settings.arm)
        self.arm, self.links, self.arm_joints, self.finger_joints = add_arm(self.client, self.model)
        self._all_joints = self.arm_joints + self.finger_joints
        self.table = self._add_box(
            TABLE_SIZE_M, 0.0, (0.62, 0.56, 0.50), TABLE_CENTRE_M, settings.table_friction
        )
        self.bodies: dict[str, int] = {}
        self.frames: dict[str, Carrier] = {}
        for name, thing in things.items():
            self._add(name, thing)
        self.steps = 0
        self._joints: tuple[Array, Array] | None = None
        self.motors = Motors(self.model.home_rad.copy(), self.model.opening_m)
        self.tuning = Tuning()
        self._dynamics = self._made()
        self._untouched = self.save()

    @property
    def time_s(self) -> float:
        """Simulated seconds since the last reset."""
        return self.steps * self._dt_s

    def reset(
        self,
        q_rad: Array,
        gripper_m: float,
        poses: Mapping[str, Pose],
        joints: Mapping[str, float] | None = None,
    ) -> None:
        """Begin anew at time 0: joints (N,) [rad], opening [m], name -> (p_BO_m, quat_xyzw).

        Things without a pose are parked out of sight. joints: moving part -> where it stands [rad]
        or [m], 0 by default. Nothing of what happened before remains, but the tuning: things are
        put on the table where that is.
        """
        self._forget()
        self._lift_table()
        values = [*q_rad, *self.model.finger_positions(gripper_m)]
        for joint, value in zip(self._all_joints, values, strict=True):
            pybullet.resetJointState(self.arm, joint, value, 0.0, physicsClientId=self.client)
        for i, (name, (body, link)) in enumerate(self.frames.items()):
            if link < 0:
                p_m, quat_xyzw = poses.get(name, (_parked(i), (0.0, 0.0, 0.0, 1.0)))
                p_m = (p_m[0], p_m[1], p_m[2] + self.tuning.table_height_m)
                pybullet.resetBasePositionAndOrientation(
                    body, list(p_m), list(quat_xyzw), physicsClientId=self.client
                )
            else:
                value = (joints or {}).get(name, 0.0)
                pybullet.resetJointState(body, link, value, 0.0, physicsClientId=self.client)
        self.steps = 0
        self._joints = None
        self.command(Motors(np.array(q_rad, np.float64), float(gripper_m)))

    def command(self, motors: Motors) -> None:
        """Give the motors new targets; they hold until the next command or reset."""
        self.motors = motors
        settings, tuning, model = self.settings, self.tuning, self.model
        # Bullet's POSITION_CONTROL is a velocity constraint with the force as its cap.
        for i, joint in enumerate(self.arm_joints):
            pybullet.setJointMotorControl2(
                self.arm,
                joint,
                pybullet.POSITION_CONTROL,
                targetPosition=motors.q_rad[i],
                positionGain=min(settings.position_gain * tuning.position_gain, 1.0),
                velocityGain=min(settings.velocity_gain * tuning.velocity_gain, 1.0),
                force=model.effort[i],
                maxVelocity=model.speed[i],
                physicsClientId=self.client,
            )
        targets, travel = model.finger_positions(motors.gripper_m), model.travel
        for i, joint in enumerate(self.finger_joints[: model.drivers]):
            pybullet.setJointMotorControl2(
                self.arm,
                joint,
                pybullet.POSITION_CONTROL,
                targetPosition=targets[i],
                force=settings.grip_force_n * tuning.grip_force / travel[i],
                maxVelocity=settings.finger_speed_m_s * travel[i],
                physicsClientId=self.client,
            )

    def tune(self, tuning: Tuning) -> None:
        """Masses, friction and gains from the next command on, table height from the next reset."""
        self.tuning = tuning
        own = {_FINGERS: tuning.finger_friction, _TABLE: tuning.table_friction}
        self._dynamics.scale(tuning.mass, {**tuning.friction, **own})

    def advance_until(self, stamp_s: float) -> None:
        """Step physics until ``time_s >= stamp_s`` (to a thousandth of a step)."""
        self.advance(math.ceil(stamp_s * self.settings.physics_rate_hz - 1e-3) - self.steps)

    def advance(self, steps: int) -> None:
        """Step physics; nothing when ``steps`` is 0 or less."""
        step, client = pybullet.stepSimulation, self.client
        for _ in range(steps):
            step(client)
        self.steps += max(steps, 0)
        self._joints = None

    def joints(self) -> tuple[Array, Array]:
        """Positions and velocities (N + M,), read-only: joints, then finger joints [rad, m]."""
        if self._joints is None:
            states = pybullet.getJointStates(
                self.arm, self._all_joints, physicsClientId=self.client
            )
            values = np.array([s[:2] for s in states]).T.copy()
            values.setflags(write=False)  # arm, cameras and judge of one moment share them
            self._joints = values[0], values[1]
        return self._joints

    def body_pose(self, name: str) -> Pose:
        """p_BO_m (3,) and quat_xyzw (4,) of one of ``frames``."""
        return frame_pose(self.client, self.frames[name])

    def save(self) -> WorldState:
        """This moment, to come back to with ``restore`` as often as wanted."""
        bullet_id = pybullet.saveState(physicsClientId=self.client)
        return WorldState(self._client, bullet_id, self.steps, self.motors, self.tuning)

    def restore(self, state: WorldState) -> None:
        """Go back to a saved moment of this world; what follows is bit-identical.

        Raises ``WorldError`` for a state of another world, or one that was dropped.
        """
        if not state.belongs_to(self._client):
            raise WorldError("this state was saved by another world, or was dropped; save it here")
        self.tune(state.tuning)
        self._forget()
        pybullet.restoreState(state.bullet_id, physicsClientId=self.client)
        self.steps = state.steps
        self._joints = None
        self.command(state.motors)

    def close(self) -> None:
        """Free the physics client; twice is safe."""
        self._close()

    def _forget(self) -> None:
        """Leave no trace of the past: nothing touches, and Bullet's contact caches are empty.

        restoreState alone keeps the contacts of pairs that still overlapped a moment ago; a cube
        then came to rest 0.07 mm from where the same seed had put it before.
        """
        pybullet.restoreState(self._untouched.bullet_id, physicsClientId=self.client)
        pybullet.performCollisionDetection(physicsClientId=self.client)

    def _lift_table(self) -> None:
        """To the tuning's height; ``_forget`` put it back to where it was made."""
        height_m = self.tuning.table_height_m
        if height_m:
            x_m, y_m, z_m = TABLE_CENTRE_M
            pybullet.resetBasePositionAndOrientation(
                self.table,
                [x_m, y_m, z_m + height_m],
                [0.0, 0.0, 0.0, 1.0],
                physicsClientId=self.client,
            )

    def _made(self) -> Dynamics:
        """What can be tuned, as it is now."""
        surfaces = {_FINGERS: (self.arm, self.finger_joints), _TABLE: (self.table, [-1])}
        for name, (body, link) in self.frames.items():
            if link < 0:
                count = pybullet.getNumJoints(body, physicsClientId=self.client)
                surfaces[name] = body, list(range(-1 if name in self.bodies else 0, count))
        return Dynamics(self.client, self.bodies, surfaces)

    def _set_engine(self) -> None:
        pybullet.setPhysicsEngineParameter(
            fixedTimeStep=self._dt_s,
            numSolverIterations=self.settings.solver_iterations,
            solverResidualThreshold=self.settings.solver_residual_threshold,
            # Without it the outcome depends on the broadphase's history, also across restoreState.
            deterministicOverlappingPairs=1,
            physicsClientId=self.client,
        )
        pybullet.setGravity(0.0, 0.0, -9.81, physicsClientId=self.client)

    def _add(self, name: str, thing: Body) -> None:
        at_m = _parked(len(self.frames))
        if isinstance(thing, Box):
            body = self._add_box(thing.size_m, thing.mass_kg, thing.rgb, at_m, thing.friction)
            self.bodies[name], link = body, None
        else:
            body, link = add_fixture(self.client, thing, at_m, [self.table])
        self.frames[name] = Carrier(body, -1)
        if link is not None and not isinstance(thing, Box) and thing.moving is not None:
            self.frames[thing.moving.name] = Carrier(body, link)

    def _add_box(
        self, size_m: Vector, mass_kg: float, rgb: Vector, p_m: Vector, friction: float = _FRICTION
    ) -> int:
        return add_box(self.client, size_m, mass_kg, rgb, p_m, friction)


def _parked(i: int) -> Vector:
    """Where thing ``i`` waits: apart, or the contacts of two that wait in one place survive
    ``World._forget``, and a restored moment goes on differently."""
    return (_PARKED_M[0] + _PARKED_APART_M * i, *_PARKED_M[1:])
