"""Reward: who claims success, how long a claim must stand, and what geometry and tags measure."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from handful.config import ConfigError, build, load
from handful.contract import ArmState, Observation, Transition
from handful.rig.calibration import Calibration
from handful.rig.episode import EpisodeError, EpisodeTable, Phase
from handful.rig.geometry import exp_so3, invert, log_so3, pose
from handful.rig.mount import camera_text, mount_of
from handful.rig.reward import Claim, Hold, People, RewardError, Scored, Told, hold_steps
from handful.rig.reward_env import JudgedEnv
from handful.rig.reward_geometric import Geometric
from handful.rig.reward_labels import labels
from handful.rig.reward_settings import GeometricSettings, RewardSettings, TagSettings
from handful.rig.reward_tags import TagFinder, tag_goal
from handful.rig.tag_edges import sharpen

SEEN = Observation({}, np.zeros(1, np.float32), 0.0)
LENS = Calibration(
    640, 480, np.array([[600.0, 0.0, 319.5], [0.0, 600.0, 239.5], [0.0, 0.0, 1.0]]), np.zeros(5)
)


def arm(p_m: Any = (0.5, 0.0, 0.2), width_m: float = 0.04) -> ArmState:
    p = np.array(p_m, np.float64)
    return ArmState(0.0, p, 0.0, width_m, np.zeros(3), np.zeros(7), p, 0.0, width_m)


class TestHold:
    @given(st.lists(st.floats(0, 1), max_size=40), st.integers(1, 6))
    def test_without_hysteresis_it_is_so_many_in_a_row(self, scores: list, steps: int) -> None:
        hold, held, done = Hold(steps, 0.6, 0.6), 0, []
        for score in scores:
            held = hold.after(held, score)
            done.append(hold.done(held))
        for k in range(len(scores)):
            window = scores[max(0, k - steps + 1) : k + 1]
            assert done[k] == (len(window) == steps and min(window) >= 0.6)

    @given(st.lists(st.floats(0, 1), max_size=40), st.integers(1, 6), st.floats(0.1, 0.6))
    def test_success_needs_a_rise_and_no_fall_since(self, scores: list, n: int, off: float) -> None:
        hold, held = Hold(n, 0.6, off), 0
        for k, score in enumerate(scores):
            held = hold.after(held, score)
            if held:  # the count began by a score of 0.6 and nothing since was below off
                assert scores[k - held + 1] >= 0.6
                assert min(scores[k - held + 1 : k + 1]) >= off
            else:
                assert score < 0.6

    @given(st.lists(st.floats(0, 0.59), max_size=30))
    def test_what_never_rises_never_counts(self, scores: list) -> None:
        hold, held = Hold(1, 0.6, 0.3), 0
        for score in scores:
            held = hold.after(held, score)
        assert held == 0

    def test_one_picture_never_ends_an_episode(self) -> None:
        table = EpisodeTable(9, Hold(3, 0.9, 0.5))
        table.reset()
        table.start()
        for score in (1.0, 0.95, 0.4, 1.0, 0.6):
            assert table.advance(score) is Phase.RUNNING
        assert table.advance(0.6) is Phase.SUCCEEDED

    def test_no_number_is_no_claim(self) -> None:
        assert Hold(1).after(3, float("nan")) == 0

    @pytest.mark.parametrize(("steps", "on", "off"), [(0, 0.5, 0.5), (1, 0.5, 0.6), (1, 1.2, 1)])
    def test_nonsense_is_refused(self, steps: int, on: float, off: float) -> None:
        with pytest.raises(RewardError):
            Hold(steps, on, off)

    def test_seconds_become_steps(self) -> None:
        assert hold_steps(None, 0.5, 10.0, 1) == 5
        assert hold_steps(None, 0.51, 10.0, 1) == 6
        assert hold_steps(4, None, 10.0, 1) == 4
        assert hold_steps(None, None, 10.0, 7) == 7


class TestSources:
    def test_told_and_people(self) -> None:
        assert Told("task", lambda: True).look(SEEN, arm()).score == 1.0
        assert Told("task", lambda: False).look(SEEN, arm()).score == 0.0
        assert People().look(SEEN, arm()).score == 0.0 and People().name == "operator"

    def test_a_score_that_is_no_number_is_no_claim(self) -> None:
        source = Scored("learned", lambda seen: (float("nan"), 1.0))
        assert source.look(SEEN, arm()).score == 0.0

    def test_drift_is_a_warning_in_words(self) -> None:
        source = Scored("learned", lambda seen: (0.9, 7.0), lambda distance: distance > 5.0)
        assert source.warning() == ""
        source.look(SEEN, arm())
        assert "no longer look like" in source.warning() and "7.0" in source.warning()
        assert source.facts() == {"score": "0.900", "drift_distance": "7.00"}


class TestGeometric:
    LIFT = GeometricSettings(
        tip_min_m=(None, None, 0.14), width_min_m=0.03, width_max_m=0.06, slack_m=0.01
    )

    @pytest.mark.parametrize(
        ("p_m", "width_m", "score"),
        [
            ((0.5, 0.0, 0.2), 0.04, 1.0),
            ((0.5, 0.0, 0.14), 0.04, 1.0),
            ((0.5, 0.0, 0.135), 0.04, 0.5),
            ((0.5, 0.0, 0.10), 0.04, 0.0),
            ((0.5, 0.0, 0.2), 0.0, 0.0),
            ((0.5, 0.0, 0.2), 0.0625, 0.75),
        ],
    )
    def test_the_worst_condition_counts(self, p_m: Any, width_m: float, score: float) -> None:
        claim = Geometric(self.LIFT).look(SEEN, arm(p_m, width_m))
        assert claim.score == pytest.approx(score, abs=1e-9)
        assert (claim.why == "") == (score == 1.0)

    def test_a_hand_that_is_told_to_stand_half_open_holds_nothing(self) -> None:
        settings = self.LIFT.model_copy(update={"squeeze_min_m": 0.02})
        for told_m, score in ((0.0, 1.0), (0.02, 1.0), (0.025, 0.5), (0.04, 0.0), (0.08, 0.0)):
            one = replace(arm((0.5, 0.0, 0.2), 0.04), target_gripper_m=told_m)
            assert Geometric(settings).look(SEEN, one).score == pytest.approx(score, abs=1e-9)
        assert not GeometricSettings(squeeze_min_m=0.01).empty

    def test_a_measurement_that_is_no_number_meets_nothing(self) -> None:
        assert Geometric(self.LIFT).look(SEEN, arm((0.5, 0.0, float("nan")))).score == 0.0

    def test_a_tag_that_is_not_seen_is_not_there(self) -> None:
        source = Geometric(GeometricSettings(), lambda: (np.inf, "tag 3 is not seen"))
        assert source.look(SEEN, arm()) == Claim(0.0, "tag 3 is not seen")


def tag_picture(*tags: tuple[int, Any], size_m: float = 0.04) -> np.ndarray:
    """What LENS sees of AprilTags at X_CO, z of a tag towards the camera; (480, 640, 3) uint8."""
    dictionary = cv2.aruco.getPredefinedDictionary(cv2.aruco.DICT_APRILTAG_36h11)
    n = 4  # drawn so much larger each way, and averaged: a sensor has no staircase
    K = LENS.K.copy()
    K[:2, :2] *= n
    K[:2, 2] = n * (K[:2, 2] + 0.5) - 0.5
    size = (n * 640, n * 480)
    picture = np.full(size[::-1], 190, np.uint8)
    for tag, X_CO in tags:
        side, rim = 400, 100
        drawn = np.full((side + 2 * rim, side + 2 * rim), 255, np.uint8)
        drawn[rim:-rim, rim:-rim] = cv2.aruco.generateImageMarker(dictionary, tag, side)
        half = 0.5 * size_m * (side + 2 * rim) / side
        corners = np.array([[-1, 1, 0], [1, 1, 0], [1, -1, 0], [-1, -1, 0]], np.float64) * half
        px, _ = cv2.projectPoints(corners, cv2.Rodrigues(X_CO[:3, :3])[0], X_CO[:3, 3], K, LENS.D)
        end = side + 2 * rim - 0.5
        source = np.array([[-0.5, -0.5], [end, -0.5], [end, end], [-0.5, end]], np.float32)
        H = cv2.getPerspectiveTransform(source, px.reshape(4, 2).astype(np.float32))
        warped = cv2.warpPerspective(drawn, H, size, borderValue=0)
        mask = cv2.warpPerspective(np.full_like(drawn, 255), H, size)
        picture = np.where(mask > 127, warped, picture).astype(np.uint8)
    picture = np.asarray(cv2.resize(picture, (640, 480), interpolation=cv2.INTER_AREA), np.uint8)
    return np.repeat(picture[:, :, None], 3, axis=2)


FACING = np.diag([1.0, -1.0, -1.0])  # a tag's z towards the camera, its y up in the picture


def at(x_m: float, y_m: float, z_m: float, turn: Any = (0.0, 0.0, 0.0)) -> np.ndarray:
    return pose(exp_so3(turn) @ FACING, (x_m, y_m, z_m))


class TestTags:
    @pytest.mark.parametrize(
        "X_CO", [at(0.0, 0.0, 0.4), at(0.08, -0.05, 0.5, (0.4, 0.2, 1.0)), at(-0.1, 0.06, 0.45)]
    )
    def test_a_rendered_tag_is_found_where_it_is(self, X_CO: np.ndarray) -> None:
        found = TagFinder("apriltag_36h11", 0.04, LENS).find(tag_picture((7, X_CO)))
        assert set(found) == {7}
        assert np.linalg.norm(found[7][:3, 3] - X_CO[:3, 3]) < 0.001
        angle_rad = np.linalg.norm(log_so3(found[7][:3, :3].T @ X_CO[:3, :3]))
        assert angle_rad < 0.05

    def test_a_small_one_too_and_never_mirrored(self) -> None:
        finder = TagFinder("apriltag_36h11", 0.04, LENS)
        for k in range(6):  # 25 px an edge, leaning by 54 degrees as on a table before a camera
            X_CO = at(0.1 * k - 0.3, 0.03 * k, 0.8, (0.94, 0.05 * k, 0.2 * k))
            found = finder.find(tag_picture((7, X_CO)))
            assert np.linalg.norm(found[7][:3, 3] - X_CO[:3, 3]) < 0.006
            assert np.linalg.norm(log_so3(found[7][:3, :3].T @ X_CO[:3, :3])) < 0.1

    def test_corners_that_cannot_be_seen_stay_where_they_were(self) -> None:
        corners = np.array([[10.0, 10.0], [40.0, 10.0], [40.0, 40.0], [10.0, 40.0]])
        for grey in (np.full((60, 60), 90, np.uint8), np.eye(60, dtype=np.uint8) * 255):
            assert sharpen(grey, corners, 8) is corners
        black = np.full((60, 60), 230, np.uint8)
        black[12:42, 11:41] = 10  # pixels 11 to 40 and 12 to 41: edges at 10.5, 40.5; 11.5, 41.5
        right = np.array([[10.5, 11.5], [40.5, 11.5], [40.5, 41.5], [10.5, 41.5]])
        assert sharpen(black, corners, 8) == pytest.approx(right, abs=0.02)

    def test_in_another_tags_frame(self, tmp_path: Path) -> None:
        path = calibration(tmp_path)
        settings = TagSettings(
            camera="third", calibration=path, size_m=0.04, thing=3, relative_to=0,
            goal_m=(0.10, 0.0, 0.0), tolerance_m=0.01,
        )  # fmt: skip
        still = at(-0.05, 0.02, 0.45, (0.2, 0.0, 0.0))
        for away_m, miss_m in ((0.10, 0.0), (0.14, 0.03)):
            moved = still @ pose(np.eye(3), (away_m, 0.0, 0.0))
            goal = tag_goal(settings, lambda moved=moved: tag_picture((0, still), (3, moved)))
            assert goal()[0] == pytest.approx(miss_m, abs=0.001)
        goal = tag_goal(settings, lambda: tag_picture((0, still)))
        assert goal() == (np.inf, "tag 3 is not seen")

    def test_in_the_base_and_upright(self, tmp_path: Path) -> None:
        X_BC = pose(exp_so3((np.pi, 0.0, 0.0)), (0.5, 0.0, 0.5))  # looks straight down
        path = calibration(tmp_path, X_BC)
        settings = TagSettings(
            camera="third", calibration=path, size_m=0.04, thing=3, goal_m=(0.55, 0.03, 0.05),
            tolerance_m=0.01, max_tilt_rad=0.3,
        )  # fmt: skip
        flat = invert(X_BC) @ pose(np.eye(3), (0.55, 0.03, 0.05))
        tilted = invert(X_BC) @ pose(exp_so3((0.6, 0.0, 0.0)), (0.55, 0.03, 0.05))
        assert tag_goal(settings, lambda: tag_picture((3, flat)))()[0] == 0.0
        miss_m, words = tag_goal(settings, lambda: tag_picture((3, tilted)))()
        assert miss_m == np.inf and "tilted" in words

    def test_what_cannot_be_measured_is_refused(self, tmp_path: Path) -> None:
        given = {"camera": "third", "size_m": 0.04, "thing": 3, "goal_m": [0, 0, 0]}
        given |= {"tolerance_m": 0.01, "calibration": calibration(tmp_path)}
        with pytest.raises(RewardError, match="has no mount"):
            tag_goal(build(TagSettings, given, "tag"), lambda: tag_picture())
        hand = calibration(tmp_path, np.eye(4), "panda_hand")
        with pytest.raises(RewardError, match="mounted on panda_hand"):
            tag_goal(build(TagSettings, {**given, "calibration": hand}, "tag"), tag_picture)
        with pytest.raises(RewardError, match="its calibration is of 640 x 480"):
            TagFinder("apriltag_36h11", 0.04, LENS).find(np.zeros((48, 64, 3), np.uint8))


def calibration(folder: Path, X_BC: Any = None, parent: str = "panda_link0") -> str:
    mount = None if X_BC is None else mount_of(parent, X_BC)
    path = folder / f"{parent}_{mount is not None}.yaml"
    path.write_text(camera_text("third", LENS, mount, []))
    return str(path)


class TestSettings:
    def test_the_manual_is_the_defaults(self) -> None:
        assert load(RewardSettings, "reward") == RewardSettings()

    def test_the_tag_in_the_manual_is_a_tag(self) -> None:
        text = (Path(__file__).parents[2] / "config/reward.yaml").read_text()
        lines = text[text.index("  tag: null") :].splitlines()[1:]
        example = yaml.safe_load("\n".join(line.replace("    # ", "", 1) for line in lines))
        assert build(TagSettings, example, "tag").thing == 3

    @pytest.mark.parametrize(
        ("values", "said"),
        [
            ({"by": "learned"}, "needs file"),
            ({"by": "geometric"}, "needs a box, an opening or a tag"),
            ({"hold_steps": 3, "hold_s": 0.3}, "set one of them"),
            ({"claim_at": 0.5, "drop_below": 0.7}, "drop_below 0.7 is above claim_at 0.5"),
            ({"by": "lerned"}, "must be 'task'"),
            ({"geometric": {"width_min_m": 0.06, "width_max_m": 0.03}}, "is above width_max_m"),
        ],
    )
    def test_the_impossible_is_refused(self, values: dict, said: str) -> None:
        with pytest.raises(ConfigError, match=said):
            build(RewardSettings, values, "reward")


def test_labels_by_hand() -> None:
    assert labels(9, True, 3, 2).tolist() == [0, 0, 0, 0, -1, -1, 1, 1, 1]
    assert labels(4, False, 3, 2).tolist() == [0, 0, 0, 0]
    assert labels(2, True, 3, 2).tolist() == [1, 1]


class Script:
    """An environment whose truth is written down; never succeeds by itself."""

    horizon, spec = 8, None

    def __init__(self, truth: str, fault_at: int = 99) -> None:
        self.truth_, self.fault_at = truth, fault_at

    def reset(self, seed: int) -> Observation:
        self.k = 0
        return SEEN

    def arm_state(self) -> ArmState:
        return arm()

    def step(self, action: Any) -> Transition:
        met = self.truth_[self.k] == "1"
        self.k += 1
        fault = self.k == self.fault_at
        return Transition(
            np.zeros(4, np.float32), 0.0, 0.0 if fault else 1.0, SEEN,
            fault or self.k == self.horizon, info={"at_goal": met, "verdict": "reach"},
        )  # fmt: skip

    def close(self) -> None:
        pass


def judged(truth: str, claims: str, **more: Any) -> list[Transition]:
    env = Script(truth, **more)
    source = Scored("learned", lambda seen: (float(claims[env.k - 1] == "1"), 0.0))
    judge = JudgedEnv(env, source, Hold(2), 2)
    judge.reset(0)
    steps: list[Transition] = []
    while not steps or not steps[-1].last:
        steps.append(judge.step(np.zeros(4)))
    with pytest.raises(EpisodeError):
        judge.step(np.zeros(4))
    return steps


class TestJudgedEnv:
    @pytest.mark.parametrize(
        ("truth", "claims", "length", "reward", "true"),
        [
            ("00011111", "00011111", 5, 1.0, True),  # both see it
            ("00000000", "00011111", 5, 1.0, False),  # a false positive ends the episode
            ("00111111", "00000000", 8, 0.0, True),  # a false negative lets it go on
            ("00000000", "01010101", 8, 0.0, False),  # never two in a row
            ("00110000", "00000011", 8, 1.0, True),  # true before, claimed on the last step
        ],
    )
    def test_only_the_sources_word_ends_it(
        self, truth: str, claims: str, length: int, reward: float, true: bool
    ) -> None:
        steps = judged(truth, claims)
        last = steps[-1]
        assert (len(steps), last.reward, last.info["true_success"]) == (length, reward, true)
        assert last.discount == 1.0 - reward
        assert all(step.reward == 0.0 and step.discount == 1.0 for step in steps[:-1])
        pairs = list(zip(truth[:length], claims[:length], strict=True))
        assert last.info["frames"] == length
        assert last.info["false_frames"] == pairs.count(("0", "1"))
        assert last.info["missed_frames"] == pairs.count(("1", "0"))
        assert last.info["judge"] == "learned"

    def test_a_fault_is_a_fault(self) -> None:
        last = judged("00000000", "00000000", fault_at=3)[-1]
        assert (last.reward, last.discount, last.last) == (0.0, 0.0, True)

    def test_a_new_episode_begins_at_nought(self) -> None:
        env = Script("1" * 8)
        judge = JudgedEnv(env, Told("x", lambda: env.k == 1), Hold(2), 2)
        for seed in range(2):
            judge.reset(seed)
            assert judge.step(np.zeros(4)).reward == 0.0
        assert judge.horizon == 8
