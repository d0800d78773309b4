"""Frames and arm state to observations: by formula, with a camera that counts in its pixels."""

import math
from dataclasses import replace

import numpy as np
import pytest
from fakes import CounterCamera, FakeClock, PerfectArm
from hypothesis import given
from hypothesis import strategies as st

from handful.contract import Frame
from handful.rig.action import ActionScaler
from handful.rig.arm import ArmError
from handful.rig.camera import CameraError, StaleFrameError
from handful.rig.observe import Observer
from handful.rig.settings import (
    ActionSettings,
    CameraSettings,
    GuardSettings,
    ObserveSettings,
    RigSettings,
)

NAMES = ("position", "yaw", "gripper", "velocity", "target_offset", "target_gripper", "joints")


def rig(camera: CameraSettings | None = None, **observe: object) -> RigSettings:
    return RigSettings(
        cameras={"third": camera or CameraSettings()}, observe=ObserveSettings(**observe)
    )


def frame(pixels: np.ndarray, stamp_s: float = 100.0) -> dict[str, Frame]:
    return {"third": Frame("third", pixels, stamp_s)}


def ramp(height: int = 84, width: int = 84) -> np.ndarray:
    """Every pixel says where it is: red its row, green its column."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[..., 0] = np.arange(height)[:, None] % 256
    pixels[..., 1] = np.arange(width)[None, :] % 256
    return pixels


ARM = PerfectArm(FakeClock()).state()


class TestPictures:
    def test_a_picture_of_the_right_size_passes_without_a_copy(self) -> None:
        pixels = ramp()
        seen = Observer(rig()).observe(frame(pixels), ARM, 100.0).images["third"]
        assert np.array_equal(seen, pixels)
        assert np.shares_memory(seen, pixels)

    def test_the_crop_is_top_left_height_width(self) -> None:
        camera = CameraSettings(width_px=200, height_px=120, crop_px=(10, 50, 84, 84))
        seen = Observer(rig(camera)).observe(frame(ramp(120, 200)), ARM, 100.0).images["third"]
        assert seen.shape == (84, 84, 3)
        assert seen[0, 0].tolist() == [10, 50, 0]
        assert seen[83, 83].tolist() == [93, 133, 0]
        assert seen.flags.c_contiguous

    def test_shrinking_averages_areas(self) -> None:
        camera = CameraSettings(width_px=168, height_px=168)
        pixels = np.random.default_rng(0).integers(0, 256, (168, 168, 3), dtype=np.uint8)
        seen = Observer(rig(camera)).observe(frame(pixels), ARM, 100.0).images["third"]
        means = pixels.reshape(84, 2, 84, 2, 3).mean(axis=(1, 3))
        assert np.abs(seen - means).max() <= 0.5

    def test_growing_keeps_the_corners(self) -> None:
        camera = CameraSettings(width_px=42, height_px=42)
        seen = Observer(rig(camera)).observe(frame(ramp(42, 42)), ARM, 100.0).images["third"]
        assert seen.shape == (84, 84, 3)
        assert seen[0, 0, 0] == 0 and seen[-1, -1, 1] == 41

    @pytest.mark.parametrize(
        "pixels",
        [np.zeros((84, 83, 3), np.uint8), np.zeros((84, 84, 4), np.uint8), np.zeros((84, 84, 3))],
    )
    def test_another_shape_or_type_is_refused_by_name(self, pixels) -> None:
        with pytest.raises(CameraError, match=r"'third': expected \(84, 84, 3\) uint8"):
            Observer(rig()).observe(frame(pixels), ARM, 100.0)

    def test_a_missing_camera_is_named(self) -> None:
        with pytest.raises(CameraError, match=r"'third': no frame; got \['wrist'\]"):
            Observer(rig()).observe({"wrist": Frame("wrist", ramp(), 100.0)}, ARM, 100.0)

    def test_pictures_keep_the_order_of_the_settings(self) -> None:
        clock = FakeClock()
        settings = RigSettings(cameras={n: CameraSettings() for n in ("b", "a", "c")})
        frames = {}
        for name in "abc":
            camera = CounterCamera(clock, name)
            camera.open()
            frames[name] = camera.latest(1.0)
        observer = Observer(settings)
        assert observer.spec.cameras == ("b", "a", "c")
        assert tuple(observer.observe(frames, ARM, 100.0).images) == ("b", "a", "c")


class TestStack:
    @pytest.mark.parametrize("depth", [1, 2, 3, 5])
    def test_the_newest_is_last_and_a_reset_repeats_the_first(self, depth) -> None:
        clock = FakeClock()
        camera = CounterCamera(clock)
        camera.open()
        observer = Observer(rig(frame_stack=depth))
        for first in (1, 8):
            observer.reset()
            numbers = []
            for number in range(first, first + 7):
                seen = observer.observe({"third": camera.latest(1.0)}, ARM, clock.now_s())
                image = seen.images["third"]
                assert image.shape == (84, 84, 3 * depth)
                assert image.flags.c_contiguous
                numbers = image[40, 40, 1::3].tolist()
                expected = [max(first, number - age) for age in range(depth - 1, -1, -1)]
                assert numbers == expected
                assert image[0, 0, -3:].tolist() == [number + 1, number, number + 2]

    def test_an_old_observation_does_not_change(self) -> None:
        clock = FakeClock()
        camera = CounterCamera(clock)
        camera.open()
        observer = Observer(rig(frame_stack=3))
        images = []
        for _ in range(6):
            seen = observer.observe({"third": camera.latest(1.0)}, ARM, clock.now_s())
            images.append(seen.images["third"])
        assert [int(image[0, 0, 7]) for image in images] == [1, 2, 3, 4, 5, 6]
        assert not any(np.shares_memory(a, b) for a, b in zip(images, images[1:], strict=False))

    def test_a_refused_frame_does_not_enter_the_stack(self) -> None:
        observer = Observer(
            RigSettings(
                cameras={"third": CameraSettings(), "wrist": CameraSettings()},
                observe=ObserveSettings(frame_stack=2),
            )
        )
        clock = FakeClock()
        cameras = {name: CounterCamera(clock, name) for name in ("third", "wrist")}
        for camera in cameras.values():
            camera.open()
        both = {name: camera.latest(1.0) for name, camera in cameras.items()}
        observer.observe(both, ARM, clock.now_s())
        bad = {"third": cameras["third"].latest(1.0), "wrist": Frame("wrist", ramp(4, 4), 100.0)}
        with pytest.raises(CameraError):
            observer.observe(bad, ARM, clock.now_s())
        both = {name: camera.latest(1.0) for name, camera in cameras.items()}
        image = observer.observe(both, ARM, clock.now_s()).images["third"]
        assert image[0, 0, 1::3].tolist() == [1, 3], "frame 2 was never part of an observation"


class TestAge:
    @given(age_s=st.floats(0.0, 1.0))
    def test_a_frame_is_stale_exactly_above_the_limit(self, age_s) -> None:
        observer = Observer(rig(max_frame_age_s=0.25))
        now_s = 100.0
        stamp_s = now_s - age_s
        if now_s - stamp_s > 0.25:
            with pytest.raises(StaleFrameError, match=r"'third'.*max_frame_age_s is 0\.25 s"):
                observer.observe(frame(ramp(), stamp_s), ARM, now_s)
        else:
            assert observer.observe(frame(ramp(), stamp_s), ARM, now_s).stamp_s == stamp_s

    @given(age_s=st.floats(0.0, 1.0))
    def test_the_arm_is_stale_exactly_above_the_limit(self, age_s) -> None:
        observer = Observer(rig(max_arm_age_s=0.25))
        now_s = 100.0
        arm = replace(ARM, stamp_s=now_s - age_s)
        if now_s - arm.stamp_s > 0.25:
            with pytest.raises(ArmError, match=r"max_arm_age_s is 0\.25 s"):
                observer.observe(frame(ramp(), now_s), arm, now_s)
        else:
            assert observer.observe(frame(ramp(), now_s), arm, now_s).stamp_s == arm.stamp_s

    def test_exactly_at_the_limit_is_young_enough(self) -> None:
        observer = Observer(rig(max_frame_age_s=0.25, max_arm_age_s=0.5))
        arm = replace(ARM, stamp_s=99.75)
        assert observer.observe(frame(ramp(), 100.0), arm, 100.25).stamp_s == 99.75

    @pytest.mark.parametrize("stamp_s", [math.nan, -math.inf])
    def test_a_stamp_that_is_no_time_is_stale(self, stamp_s) -> None:
        with pytest.raises(StaleFrameError):
            Observer(rig()).observe(frame(ramp(), stamp_s), ARM, 100.0)
        with pytest.raises(ArmError):
            Observer(rig()).observe(frame(ramp()), replace(ARM, stamp_s=stamp_s), 100.0)

    def test_the_observation_carries_its_oldest_part(self) -> None:
        settings = RigSettings(cameras={"a": CameraSettings(), "b": CameraSettings()})
        for stamps in [(99.95, 99.9, 100.0), (99.9, 99.95, 100.0), (100.0, 99.95, 99.92)]:
            frames = {n: Frame(n, ramp(), s) for n, s in zip("ab", stamps, strict=False)}
            arm = replace(ARM, stamp_s=stamps[2])
            assert Observer(settings).observe(frames, arm, 100.0).stamp_s == min(stamps)


class TestState:
    def test_it_is_the_quantities_in_the_order_asked_for(self) -> None:
        settings = RigSettings(
            cameras={"third": CameraSettings()},
            observe=ObserveSettings(proprioception=NAMES, joint_count=2),
            guard=GuardSettings(workspace_min_m=(0.0, -1.0, 0.0), workspace_max_m=(1.0, 1.0, 0.5)),
        )
        arm = replace(
            ARM,
            p_BT_m=np.array([1.0, 0.0, 0.125]),
            yaw_rad=0.5,
            gripper_m=0.02,
            v_BT_m_s=np.array([0.6, -0.3, 0.0]),
            target_p_BT_m=np.array([1.03, -0.06, 0.125]),
            target_gripper_m=0.08,
            q_rad=np.array([math.pi, -math.pi / 2]),
        )
        observer = Observer(settings)
        state = observer.observe(frame(ramp()), arm, 100.0).state
        expected = [1.0, 0.0, -0.5, math.sin(0.5), math.cos(0.5), -0.5, 1.0, -0.5, 0.0]
        expected += [1.0, -2.0, 0.0, 1.0, 1.0, -0.5]
        assert state.dtype == np.float32
        assert state == pytest.approx(expected, abs=1e-6)
        assert observer.spec.state_dim == len(expected)

    @given(names=st.lists(st.sampled_from(NAMES), min_size=1, unique=True))
    def test_the_spec_knows_the_size_of_every_choice(self, names) -> None:
        observer = Observer(rig(proprioception=tuple(names)))
        state = observer.observe(frame(ramp()), ARM, 100.0).state
        assert state.shape == (observer.spec.state_dim,)

    @pytest.mark.parametrize("field", ["p_BT_m", "target_p_BT_m"])
    def test_a_state_that_is_not_finite_is_refused(self, field) -> None:
        arm = replace(ARM, **{field: np.array([0.4, math.nan, 0.2])})
        with pytest.raises(ArmError, match="not finite"):
            Observer(rig()).observe(frame(ramp()), arm, 100.0)

    @pytest.mark.parametrize(("yaw_step_rad", "dim"), [(0.0, 4), (0.1, 5)])
    def test_the_spec_has_the_actions_size(self, yaw_step_rad, dim) -> None:
        settings = RigSettings(action=ActionSettings(yaw_step_rad=yaw_step_rad))
        assert Observer(settings).spec.action_dim == ActionScaler(settings.action).dim == dim

    def test_another_number_of_joints_is_refused_by_name(self) -> None:
        observer = Observer(rig(proprioception=("joints",), joint_count=6))
        with pytest.raises(ArmError, match=r"7 joints.*joint_count is 6"):
            observer.observe(frame(ramp()), ARM, 100.0)
