"""A recorded episode as commands and measurements over time, and the twin driven by the commands.

What the log holds of the arm is its observation: the tip's position and the opening, and the target
beside them; with ``joints`` among ``observe.proprioception`` the joints too. Times are the stamps
of the arm's own state where the log has them, seconds since the first one; a command is taken to be
sent at the observation it answers, so its way through policy and guard counts as command delay.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handful.contract import ArmState, Command, Observation
from handful.rig.action import ActionScaler
from handful.rig.episodes import Episode
from handful.rig.settings import RigSettings
from handful.workflow.errors import RunError

Array = NDArray[np.float64]

_SIZES = {"position": 3, "yaw": 2, "gripper": 1, "velocity": 3, "target_offset": 3}
_TAIL_S = 0.25  # how much longer the twin plays than the recording lasts
_SETTLE_S = 0.05


@dataclass(frozen=True)
class Recorded:
    """One episode of N steps.

    t_s: (N + 1,) of the measurements. p_BT_m: (N + 1, 3). gripper_m: (N + 1,). q_rad: (N + 1, J)
    or None. sent_s: (N,) of the commands. commands: N of them. start: the target before the first.
    """

    name: str
    t_s: Array
    p_BT_m: Array
    gripper_m: Array
    q_rad: Array | None
    sent_s: Array
    commands: list[Command]
    start: Command


@dataclass(frozen=True)
class Played:
    """What the twin did: (G,) times on the grid of physics, tip (G, 3), joints (G, N), opening."""

    t_s: Array
    p_BT_m: Array
    q_rad: Array
    gripper_m: Array

    def tip_at(self, t_s: Array, late_s: float = 0.0) -> Array:
        """The tip (N, 3) at times (N,), everything having happened ``late_s`` later."""
        return _between(self.t_s, self.p_BT_m, t_s - late_s)

    def joints_at(self, t_s: Array, late_s: float = 0.0) -> Array:
        """The joints (N, 7) alike."""
        return _between(self.t_s, self.q_rad, t_s - late_s)

    def gripper_at(self, t_s: Array, late_s: float = 0.0) -> Array:
        """The opening (N,) alike."""
        return np.interp(t_s - late_s, self.t_s, self.gripper_m)


def recorded(episode: Episode, rig: RigSettings) -> Recorded:
    """Decode an episode by the rig's settings it was recorded with.

    Raises:
        RunError: the settings describe another state vector, or one without the tip's position.
    """
    names = rig.observe.proprioception
    for needed in ("position", "gripper"):
        if needed not in names:
            raise RunError(
                f"{episode.path}: observe.proprioception has no {needed!r}, so the arm's path is "
                "not in the log"
            )
    places, at = {}, 0
    for name in names:
        size = rig.observe.joint_count if name == "joints" else _SIZES.get(name, 1)
        places[name] = slice(at, at + size)
        at += size
    if at != episode.spec.state_dim:
        raise RunError(
            f"{episode.path}: its state has {episode.spec.state_dim} numbers, the rig settings "
            f"describe {at}; give the ones it was recorded with (--rig)"
        )
    seen = [episode.observation, *(step.next_observation for step in episode.transitions)]
    states = np.array([one.state for one in seen], np.float64)
    low_m, high_m = np.array(rig.guard.workspace_min_m), np.array(rig.guard.workspace_max_m)
    p_BT_m = 0.5 * (high_m + low_m) + 0.5 * (high_m - low_m) * states[:, places["position"]]
    width = rig.action.gripper_max_m
    gripper_m = 0.5 * width * (states[:, places["gripper"]].ravel() + 1.0)
    offsets = states[:, places["target_offset"]] if "target_offset" in names else None
    targets = None if offsets is None else p_BT_m + rig.action.step_m * offsets
    yaws = np.zeros(len(seen))
    if "yaw" in names:
        sine, cosine = states[:, places["yaw"]].T
        yaws = np.arctan2(sine, cosine)
    stamps_s = np.array([one.parts_s[-1] if one.parts_s else one.stamp_s for one in seen])
    commands, start = _commands(episode, rig, p_BT_m, gripper_m, yaws, targets)
    return Recorded(
        name=episode.path.name if episode.path else "episode",
        t_s=stamps_s - stamps_s[0],
        p_BT_m=p_BT_m,
        gripper_m=gripper_m,
        q_rad=np.pi * states[:, places["joints"]] if "joints" in names else None,
        sent_s=stamps_s[:-1] - stamps_s[0],
        commands=commands,
        start=start,
    )


def play(
    world: Any,
    arm: Any,
    path: Recorded,
    delay_s: float = 0.0,
    begin: Callable[[], None] | None = None,
    looks_s: Array | None = None,
    look: Callable[[int], None] | None = None,
) -> Played:
    """Drive a twin along the recorded commands, at the moments they were sent.

    Args:
        world, arm: a ``handful_twin.world.World`` and its ``TwinArm``.
        delay_s: of every command.
        begin: puts the world to the episode's start; by default the arm alone, where it was.
        looks_s, look: moments (K,), and what is called with their number when they have come.
    """
    if begin is None:
        bare_start(world, arm, path)
    else:
        begin()
    begin_s, rows = world.time_s, []
    due_s = path.sent_s + delay_s
    looks_s = np.empty(0) if looks_s is None else looks_s
    sent = seen = 0
    model, joints = world.model, world.model.dof
    frames = model.frames()
    while (now_s := world.time_s - begin_s) < path.t_s[-1] + _TAIL_S:
        while look is not None and seen < len(looks_s) and looks_s[seen] <= now_s + 1e-6:
            look(seen)
            seen += 1
        while sent < len(due_s) and due_s[sent] <= now_s + 1e-6:
            arm.send(path.commands[sent])
            sent += 1
        q, _ = world.joints()
        model.forward(q, frames)
        rows.append((now_s, *frames[model.tip, :3, 3], *q[:joints], model.opening(q)))
        world.advance(1)
    table = np.array(rows)
    return Played(table[:, 0], table[:, 1:4], table[:, 4:-1], table[:, -1])


def bare_start(
    world: Any, arm: Any, path: Recorded, poses: Mapping[str, Any] | None = None
) -> None:
    """The arm where it was when the recording began, at rest, and only ``poses`` on the table.

    poses: thing -> (p_BO_m (3,), quat_xyzw (4,))."""
    from handful_twin.world import Motors

    model = world.model
    q_rad, _ = model.solve_down(model.home_rad, path.p_BT_m[0], path.start.yaw_rad, 200, 1e-9)
    if path.q_rad is not None and path.q_rad.shape[1] == len(q_rad):
        q_rad = path.q_rad[0].copy()
    world.reset(q_rad, float(np.clip(path.gripper_m[0], 0.0, model.opening_m)), poses or {})
    world.command(Motors(q_rad, float(path.start.gripper_m)))
    world.advance_until(_SETTLE_S)
    arm.send(path.start)


def _commands(
    episode: Episode,
    rig: RigSettings,
    p_BT_m: Array,
    gripper_m: Array,
    yaws: Array,
    targets: Array | None,
) -> tuple[list[Command], Command]:
    """What was sent at each step: the action on the target before; the log's own target if told."""
    scaler = ActionScaler(rig.action)
    first = p_BT_m[0] if targets is None else targets[0]
    target = start = Command(first.copy(), float(yaws[0]), float(gripper_m[0]))
    commands = []
    for k, step in enumerate(episode.transitions):
        before = ArmState(
            stamp_s=0.0,
            p_BT_m=p_BT_m[k],
            yaw_rad=float(yaws[k]),
            gripper_m=float(gripper_m[k]),
            v_BT_m_s=np.zeros(3),
            q_rad=np.zeros(0),
            target_p_BT_m=target.p_BT_m if targets is None else targets[k],
            target_yaw_rad=target.yaw_rad,
            target_gripper_m=target.gripper_m,
        )
        target = scaler.to_command(step.action, before)
        if targets is not None:
            target = Command(targets[k + 1].copy(), target.yaw_rad, target.gripper_m)
        commands.append(target)
    return commands, start


def newest_pictures(observation: Observation) -> dict[str, NDArray[np.uint8]]:
    """The newest picture of every camera, (H, W, 3)."""
    return {name: image[:, :, -3:] for name, image in observation.images.items()}


def _between(times_s: Array, values: Array, at_s: Array) -> Array:
    return np.column_stack([np.interp(at_s, times_s, values[:, k]) for k in range(values.shape[1])])
