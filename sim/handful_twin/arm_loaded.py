"""An arm in a physics client: loaded, its fingers tied together, what else moves in it held."""

import pybullet

from handful.rig.geometry import to_quat_xyzw
from handful_twin.arm_model import ArmModel

_STILL_N = 1000.0
#: Inertia of each part of a linkage. With its own, some 1e-5, Bullet lets an xArm's give way and a
#: lifted cube slips (1 of 8 lifts); with this it holds (8 of 8), and its motor's speed is set.
_LINKAGE_KG_M2 = 0.01


def add_arm(client: int, model: ArmModel) -> tuple[int, dict[str, int], list[int], list[int]]:
    """Bullet's numbers: of the arm, of its links by name (-1: the root), of its joints and of its
    finger joints."""
    X_BR = model.X_BR
    arm = int(
        pybullet.loadURDF(
            str(model.physics), X_BR[:3, 3].tolist(), to_quat_xyzw(X_BR[:3, :3]).tolist(),
            useFixedBase=True, physicsClientId=client,
        )
    )  # fmt: skip
    links = {pybullet.getBodyInfo(arm, physicsClientId=client)[0].decode(): -1}
    joints, moving = {}, set()
    for i in range(pybullet.getNumJoints(arm, physicsClientId=client)):
        info = pybullet.getJointInfo(arm, i, physicsClientId=client)
        joints[info[1].decode()] = links[info[12].decode()] = i
        if info[2] != pybullet.JOINT_FIXED:
            moving.add(i)
    own = [joints[name] for name in model.joints]
    fingers = [joints[name] for name in model.fingers]
    for joint in sorted(moving - {*own, *fingers}):  # neither of arm nor gripper: stands at 0
        pybullet.setJointMotorControl2(
            arm, joint, pybullet.POSITION_CONTROL, targetPosition=0.0, force=_STILL_N,
            physicsClientId=client,
        )  # fmt: skip
    if fingers:
        _tie(client, arm, model, fingers)
    return arm, links, own, fingers


def _tie(client: int, arm: int, model: ArmModel, fingers: list[int]) -> None:
    """Bullet ignores the URDF's <mimic>, and without the gear fingers close one by one and the
    object slips 13 mm. Ratio -1 is Bullet's for moving alike. What has no motor of its own hangs on
    the first more tightly."""
    travel, drivers = model.opened - model.closed, model.drivers
    if len(fingers) > drivers:
        for joint in fingers:
            pybullet.changeDynamics(
                arm, joint, localInertiaDiagonal=[_LINKAGE_KG_M2] * 3, physicsClientId=client
            )
    for joint in fingers[drivers:]:
        pybullet.setJointMotorControl2(
            arm, joint, pybullet.VELOCITY_CONTROL, force=0.0, physicsClientId=client
        )
    erp, force = (0.1, 50.0) if len(fingers) == drivers else (0.5, 1000.0)
    for i, joint in enumerate(fingers[1:], start=1):
        gear = pybullet.createConstraint(
            arm, fingers[0], arm, joint, pybullet.JOINT_GEAR,
            [1, 0, 0], [0, 0, 0], [0, 0, 0], physicsClientId=client,
        )  # fmt: skip
        pybullet.changeConstraint(
            gear, gearRatio=-travel[0] / travel[i], erp=erp, maxForce=force, physicsClientId=client
        )
