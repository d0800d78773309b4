"""What the supervisor's tests share: a cell with an arm that obeys, cameras, and two clocks."""

import numpy as np
from numpy.typing import ArrayLike

from handful.contract import ArmState, Command
from handful.rig.ruling import Mode, Order, Ruling
from handful.rig.settings import RigSettings
from handful.rig.supervisor import Supervisor
from handful.rig.watch import GuardNodeSettings

RIG = RigSettings()
WATCH = GuardNodeSettings()
START_M = np.array([0.46, 0.0, 0.2])
TICK_S = 0.02
STEP_M = RIG.action.step_m


class Cell:
    """A supervisor and everything it listens to. Time passes by ``run``; the wall starts at 1000 s,
    the cell's clock at 50 s. Set ``obeys`` to False and the arm stays where it is."""

    def __init__(
        self, watch: GuardNodeSettings = WATCH, rig: RigSettings = RIG, resumed: bool = True
    ) -> None:
        self.supervisor = Supervisor(rig, watch)
        self.rig = rig
        self.now_s, self.stamp_s = 1000.0, 50.0
        self.p_m, self.yaw_rad, self.grip_m = START_M.copy(), 0.0, 0.05
        self.obeyed, self.fault, self.obeys = 1, "", True
        self.arm_alive, self.cameras_alive = True, set(rig.cameras)
        self.target = Command(START_M.copy(), 0.0, 0.05)
        self.orders: list[Order] = []
        self.sequence = 0
        self.hear()
        self.tick()
        if resumed:
            assert self.supervisor.resume("Ada", self.now_s) == (True, "")

    def arm(self) -> ArmState:
        return ArmState(
            stamp_s=self.stamp_s,
            p_BT_m=self.p_m.copy(),
            yaw_rad=self.yaw_rad,
            gripper_m=self.grip_m,
            v_BT_m_s=np.zeros(3),
            q_rad=np.zeros(7),
            target_p_BT_m=self.target.p_BT_m.copy(),
            target_yaw_rad=self.target.yaw_rad,
            target_gripper_m=self.target.gripper_m,
        )

    def hear(self) -> None:
        """Everybody who is alive says something."""
        if self.arm_alive:
            self.supervisor.on_arm(self.arm(), self.now_s, self.obeyed, self.fault)
        for name in self.cameras_alive:
            self.supervisor.on_camera(name, self.stamp_s, self.now_s)

    def tick(self) -> Order:
        order = self.supervisor.tick(self.now_s, self.stamp_s)
        assert order is not None
        self.orders.append(order)
        if self.obeys:
            self.p_m, self.yaw_rad = order.command.p_BT_m.copy(), order.command.yaw_rad
            self.grip_m = order.command.gripper_m
        return order

    def run(self, for_s: float) -> Order:
        """Let time pass in ticks of the guard; the last order."""
        for _ in range(round(for_s / TICK_S)):
            self.now_s += TICK_S
            self.stamp_s += TICK_S
            self.hear()
            order = self.tick()
        return order

    def act(
        self,
        values: ArrayLike = (1.0, 0.0, 0.0, 0.0),
        source: str = "agent",
        sender: str = "",
        age_s: float = 0.03,
        rest: bool = False,
    ) -> Ruling:
        return self.supervisor.on_action(
            source,
            sender or f"/{source}",
            values,
            self.stamp_s - age_s,
            rest,
            self.now_s,
            self.stamp_s,
        )

    def rest(self, source: str = "agent") -> Ruling:
        return self.act((), source, rest=True)

    @property
    def mode(self) -> Mode:
        return self.supervisor.standing.mode

    @property
    def reason(self) -> str:
        return self.supervisor.standing.reason

    @property
    def order(self) -> Order:
        order = self.supervisor.order
        assert order is not None
        return order
