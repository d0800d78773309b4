"""The fakes keep the contracts that the twin and the hardware keep."""

import pytest
from contracts import ArmCell, ArmContract, CameraCell, CameraContract
from fakes import CounterCamera, FakeClock, PerfectArm

from handful.rig.camera import StaleFrameError


class TestCounterCamera(CameraContract):
    def make_cell(self) -> CameraCell:
        clock = FakeClock()
        return CameraCell(CounterCamera(clock, height=40, width=60), clock, 40, 60)

    def test_it_counts_in_its_pixels(self) -> None:
        camera = CounterCamera(FakeClock())
        camera.open()
        for number in (1, 2, 3):
            assert camera.latest(1.0).pixels[3, 5].tolist() == [number + 1, number, number + 2]

    def test_frozen_it_goes_stale_by_the_clock(self) -> None:
        clock = FakeClock()
        camera = CounterCamera(clock)
        camera.open()
        camera.latest(0.2)
        camera.frozen = True
        clock.advance(0.19)
        camera.latest(0.2)
        clock.advance(0.02)
        with pytest.raises(StaleFrameError, match=r"0\.210 s old"):
            camera.latest(0.2)


class TestPerfectArm(ArmContract):
    def make_cell(self) -> ArmCell:
        clock = FakeClock()
        return ArmCell(PerfectArm(clock), clock, tolerance_m=1e-9)


class TestBlockedArm(ArmContract):
    """Held fast, its target and its pose differ, which is where ``stop`` has work to do."""

    def make_cell(self) -> ArmCell:
        clock = FakeClock()
        arm = PerfectArm(clock)
        arm.blocked = True
        return ArmCell(arm, clock, tolerance_m=0.021)
