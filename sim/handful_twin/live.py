"""The twin in the robot's place: it runs by itself, sees at a rate, obeys late and may hold alone.

Where ``TwinTaskEnv`` lets time pass only while somebody steps it, ``LiveTwin`` is told what time it
is and catches up with physics: frames and arm states come out at their own rates with their own
delays, commands go in whenever they come. The *cell's time* [s] starts at 0 and never goes back,
through resets either. Nothing here knows threads or a wall; ``live_thread`` does.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handful.contract import ArmState, Command, Frame
from handful.rig.arm import ArmError
from handful_twin import noise
from handful_twin.delays import InFlight
from handful_twin.sensor import Encoders, Sensor, plain_encoders, plain_sensor
from handful_twin.settings import LiveSettings
from handful_twin.stage import Stage
from handful_twin.tasks import Truth

#: Nobody may tell the arm to trust a silence longer than this [s], whatever an order says.
LONGEST_VALID_S = 1.0
_EARLY = 1e-3  # of a physics step: rounding that does not count as too early
_FAULT_SHOWN_S = 0.5  # a fault stays in the state at least so long, for watchers at low rates


@dataclass(frozen=True)
class Order:
    """One message of whoever commands the arm.

    command: goal of the tool; of a hold only the grip counts. decided_s: cell time at which it was
    decided. valid_s: with nothing new for so long after its arrival, the arm holds by itself.
    """

    sequence: int
    decided_s: float
    command: Command
    hold: bool
    valid_s: float


@dataclass(frozen=True)
class Report:
    """What the arm's driver and the judge say at one instant; ``arm.stamp_s`` is cell time.

    q, dq: (9,) joints [rad] and fingers [m], and their speeds, as measured. order: sequence of the
    order obeyed last; 0: none since the start or the last reset. holding: stands still, on its own
    account or because it was told to. fault: why it cannot move, or empty. truth: what only a
    simulator knows; at_goal: the task's success predicate on it.
    """

    arm: ArmState
    q: NDArray[np.float64]
    dq: NDArray[np.float64]
    order: int
    holding: bool
    fault: str
    at_goal: bool
    truth: Truth


class LiveTwin:
    """One stage that runs by itself. The scene of ``settings.seed`` is up at cell time 0.

    The caller owns time: ``advance`` until some cell time, telling its own monotonic time too, from
    which the watchdog counts. The stage belongs to the twin from then on.
    """

    def __init__(self, stage: Stage, settings: LiveSettings) -> None:
        self.stage, self.settings = stage, settings
        self._dt_s = 1.0 / stage.twin.physics_rate_hz
        self._offset_s = 0.0
        self.resets = 0
        self._put_up(settings.seed)

    @property
    def now_s(self) -> float:
        """The cell's time [s]."""
        return self.stage.world.time_s + self._offset_s

    def reset(self, seed: int, at_s: float | None = None) -> float:
        """Put the scene of ``seed`` up, exactly as ``TwinTaskEnv.reset`` does.

        at_s: cell time at which it happens; now by default. Time before it that has not been lived
        yet is passed over. Orders decided before or at the time that is returned are not obeyed any
        more, and pictures of the scene before are not delivered any more.
        """
        at_s = self.now_s if at_s is None else max(at_s, self.now_s)
        self._offset_s = 0.0
        self._put_up(seed)
        # The next instant, not the same one: no two pictures of a camera share a stamp.
        self._offset_s = at_s + self._dt_s - self.stage.world.time_s
        self._next_frame_s = self._next_report_s = self.now_s
        self._ignore_until_s = at_s
        self.resets += 1
        return at_s

    def receive(self, order: Order, now_s: float) -> None:
        """An order has arrived at ``now_s``, the caller's monotonic time [s]."""
        valid_s = order.valid_s if math.isfinite(order.valid_s) else 0.0
        self._heard_s, self._valid_s = now_s, min(max(valid_s, 0.0), LONGEST_VALID_S)
        delay_s = self.settings.actuation_delay_s + self.stage.draw.commands.of(self._heard)
        self._orders.send(self.now_s, delay_s, order)
        self._heard += 1

    def next_s(self) -> float:
        """Cell time at which something is due that nobody has to send."""
        due = [self._next_frame_s, self._next_report_s]
        due += [self._orders.next_s(), *(pipe.next_s() for pipe in self._pipes.values())]
        return self._offset_s + self._step_of(min(due)) * self._dt_s

    def advance(self, until_s: float, now_s: float) -> Iterator[Frame | Report]:
        """Let the cell live until ``until_s``; yields what is delivered on the way, in order.

        Everything happens on physics steps: what is due between two, on the later one. A step that
        is not over by ``until_s`` is left for the next call, so that no stamp lies in the future.

        now_s: the caller's monotonic time [s].
        """
        self._watch(now_s)
        world = self.stage.world
        last = math.floor((until_s - self._offset_s) / self._dt_s + _EARLY)
        while (due := self._step_of(self.next_s())) <= last:
            world.advance(due - world.steps)
            while self._is_due(self._orders.next_s(), due):
                self._obey(self._orders.pop().value)
            if self._step_of(self._next_report_s) <= due:
                self._next_report_s = self._after(self._next_report_s, self.settings.state_rate_hz)
                yield self.report()
            if self._step_of(self._next_frame_s) <= due:
                self._next_frame_s = self._after(self._next_frame_s, self.settings.camera_rate_hz)
                self._take_pictures()
            for pipe in self._pipes.values():
                while self._is_due(pipe.next_s(), due):
                    yield pipe.pop().value
        world.advance(last - world.steps)

    def report(self) -> Report:
        """What is measured now, noise included; the judge goes by the truth."""
        world = self.stage.world
        q, dq = world.joints()
        for encoders in (self.stage.draw.encoders, self._encoders):
            if encoders is not None:
                q = encoders.read(q, world.steps)
        arm = replace(self.stage.arm.measured(q, dq), stamp_s=self.now_s, **self._told())
        truth = self.stage.truth()
        return Report(
            arm=arm,
            q=q.copy(),
            dq=dq.copy(),
            order=self._obeyed,
            holding=self._holding,
            fault=self._fault,
            at_goal=self.stage.task.success(truth),
            truth=truth,
        )

    def _told(self) -> dict[str, Any]:
        """The target while an order is on its way: the driver has it, the motors have not."""
        order = self._orders.newest()
        if order is None or order.hold or order.decided_s <= self._ignore_until_s:
            return {}
        goal = order.command
        p_BT_m = np.array(goal.p_BT_m, np.float64)
        if not np.isfinite([*p_BT_m, goal.yaw_rad, goal.gripper_m]).all():
            return {}
        gripper_m = min(max(float(goal.gripper_m), 0.0), self.stage.world.model.opening_m)
        return {
            "target_p_BT_m": p_BT_m,
            "target_yaw_rad": float(goal.yaw_rad),
            "target_gripper_m": gripper_m,
        }

    def close(self) -> None:
        """Let the stage go; twice is safe."""
        self.stage.close()

    def _put_up(self, seed: int) -> None:
        self.stage.put_up(seed)
        self._offset_s -= self.stage.world.time_s
        live = self.settings
        key = noise.key(seed, 1)  # not the stream that drew the scene
        self._sensors: dict[str, Sensor] = {}
        if live.pixel_noise:
            self._sensors = {
                name: plain_sensor(live.pixel_noise, key ^ (i + 1))
                for i, name in enumerate(self.stage.cameras)
            }
        self._encoders: Encoders | None = None
        if live.joint_noise_rad or live.finger_noise_m:
            self._encoders = plain_encoders(
                live.joint_noise_rad, live.finger_noise_m, key, self.stage.world.model.dof
            )
        self._orders: InFlight[Order] = InFlight()
        self._pipes: dict[str, InFlight[Frame]] = {n: InFlight() for n in self.stage.cameras}
        self._heard = self._taken = 0
        self._next_frame_s = self._next_report_s = 0.0
        self._ignore_until_s = -math.inf
        self._heard_s, self._valid_s = math.inf, math.inf  # no order yet: nothing to miss
        self._obeyed, self._holding = 0, True
        self._fault, self._fault_until_s = "", -math.inf

    def _step_of(self, cell_s: float) -> int:
        """The first physics step that is not before ``cell_s``; never one of the past."""
        step = math.ceil((cell_s - self._offset_s) / self._dt_s - _EARLY)
        return max(step, self.stage.world.steps)

    def _is_due(self, cell_s: float, step: int) -> bool:
        return math.isfinite(cell_s) and self._step_of(cell_s) <= step

    def _after(self, due_s: float, rate_hz: float) -> float:
        """The next beat: on the grid, but never one that has gone by."""
        return max(due_s + 1.0 / rate_hz, self.now_s + 0.5 / rate_hz)

    def _take_pictures(self) -> None:
        world, late = self.stage.world, self.stage.draw.frames
        for name, camera in self.stage.cameras.items():
            frame = replace(camera.latest(0.0), stamp_s=self.now_s)
            if name in self._sensors:
                pixels = self._sensors[name].see(frame.pixels, world.steps)
                frame = replace(frame, pixels=pixels)
            delay_s = self.settings.sensor_delay_s
            if name in late:
                delay_s += late[name].of(self._taken)
            self._pipes[name].send(self.now_s, delay_s, frame)
        self._taken += 1

    def _obey(self, order: Order) -> None:
        if order.decided_s <= self._ignore_until_s:
            return
        self._obeyed = order.sequence
        arm = self.stage.arm
        if order.hold:
            # Once: measured again and again, the pose would sink under the arm's own weight.
            if not self._holding:
                arm.hold(order.command.gripper_m)
            self._holding = True
            if self.now_s >= self._fault_until_s:
                self._fault = ""
            return
        try:
            arm.send(order.command)
        except ArmError as error:
            self._hold()
            self._fault, self._fault_until_s = str(error), self.now_s + _FAULT_SHOWN_S
        else:
            self._holding = False
            if self.now_s >= self._fault_until_s:
                self._fault = ""

    def _watch(self, now_s: float) -> None:
        if now_s - self._heard_s > self._valid_s:
            self._hold()

    def _hold(self) -> None:
        """Stand still where it is, with the grip it was told last."""
        if not self._holding:
            self.stage.arm.hold(self.stage.arm.target.gripper_m)
        self._holding = True
