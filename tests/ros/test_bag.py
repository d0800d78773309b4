"""Bags become episodes: exactly what was seen, asked and sent; what is not there is said."""

import numpy as np
import pytest

pytest.importorskip("rosbag", reason="NO ROS HERE; to test it: make test on Debian 12")
pytest.importorskip("handful.msg", reason="NO ROS HERE; to test it: make test on Debian 12")

import rosbag
from genpy import Time
from tf2_msgs.msg import TFMessage

import handful.msg as wire
from handful.config import load
from handful.contract import ArmState
from handful.rig.calibration import parse_calibration
from handful.rig.episodes import read
from handful.rig.geometry import pose
from handful.rig.mount import optical_pose, parse_mount
from handful.rig.settings import RigSettings
from handful.wire import messages
from handful.wire.bag import BagError
from handful.wire.places import to_places
from handful.wire.twin_mounts import mounts, optical_frame
from handful.workflow.data.check import check_session
from handful.workflow.data.exchange import bring_in
from handful.workflow.data.sessions import DataError

RIG = load(RigSettings, "rig")
STEPS = 6


def picture(camera: int, k: int) -> np.ndarray:
    return np.full((84, 84, 3), 100 * camera + k, np.uint8)


def arm(k: int, stamp_s: float) -> wire.ArmState:
    p = np.array([0.4 + 0.01 * k, 0.0, 0.2])
    state = ArmState(stamp_s, p, 0.0, 0.04, np.zeros(3), np.zeros(7), p, 0.0, 0.04)
    return messages.to_arm_state(state)


def write(path, *, person=False, backwards=False, verdicts=True, cameras=("third", "wrist")):
    """One episode of STEPS steps at 10 Hz that ends in success, pictures after their action."""
    who = "teleop" if person else "agent"
    with rosbag.Bag(str(path), "w") as bag:

        def say(topic, message, at_s):
            bag.write(topic, message, Time.from_sec(at_s))

        say("/episode", wire.Episode(phase=wire.Episode.RESETTING), 99.0)
        for k in range(STEPS + 1):
            now_s = 100.0 + 0.1 * k
            stamp_s = now_s - (1.0 if backwards and k == 3 else 0.0)
            for n, name in enumerate(cameras):
                image = messages.array_to_image(picture(n, k), stamp_s - 0.02, "c")
                say(f"/{name}/color/image_raw", image, now_s + (-0.01 if person else 0.05))
            say("/arm/state", arm(k, now_s - 0.01), now_s - 0.005)
            parts = () if person else (now_s - 0.02, now_s - 0.02, now_s - 0.01)
            if k == STEPS:
                if not person:
                    rest = messages.to_action([], stamp_s=now_s - 0.02, sequence=k + 1, source=who,
                                              rest=True, parts_s=parts)  # fmt: skip
                    say(f"/{who}/action", rest, now_s)
                end = wire.Episode(phase=wire.Episode.SUCCEEDED)
                say("/episode", end, now_s + 0.001)
                continue
            values = [0.1 * k, 0.0, 0.0, 1.0]
            action = messages.to_action(
                values, stamp_s=now_s - 0.02, sequence=k + 1, source=who, parts_s=parts
            )
            say(f"/{who}/action", action, now_s)
            if verdicts or k < 3:
                verdict = wire.Verdict(sequence=k + 1, source=who, executed=[0.05 * k, 0, 0, 1.0])
                say("/guard/verdict", verdict, now_s + 0.03)
    return path


def bring(bag, out, **options):
    return bring_in(bag, out, **options)


def check(out, steps=STEPS):
    (episode,) = read(out)
    assert len(episode.transitions) == steps
    assert episode.observation.images["wrist"][0, 0, 0] == 100
    for k, step in enumerate(episode.transitions):
        assert step.next_observation.images["third"][0, 0, 0] == k + 1
        assert np.allclose(step.action, [0.05 * k, 0, 0, 1.0])
        assert np.allclose(step.asked, [0.1 * k, 0, 0, 1.0])
    return episode


def test_an_agents_bag_gives_exactly_what_it_saw(tmp_path) -> None:
    told = bring(write(tmp_path / "a.bag"), tmp_path / "out", task="lift")
    assert (told["episodes"], told["steps"], told["notes"]) == (1, STEPS, [])
    episode = check(tmp_path / "out")
    last = episode.transitions[-1]
    assert (last.reward, last.discount, last.last) == (1.0, 0.0, True)
    assert episode.meta["task"] == "lift" and episode.meta["from"] == "bag"
    assert last.next_observation.parts_s == pytest.approx((100.58, 100.58, 100.59))


def test_a_persons_bag_with_topics_named_in_yaml(tmp_path) -> None:
    topics = tmp_path / "topics.yaml"
    topics.write_text("action: /teleop/action\nsource: teleop\n")
    bring(write(tmp_path / "t.bag", person=True), tmp_path / "out", topics=str(topics))
    assert check(tmp_path / "out").complete


def test_what_a_bag_says_about_its_cameras_goes_into_the_session(tmp_path) -> None:
    bag, X_BC = write(tmp_path / "a.bag"), pose(np.eye(3), [0.1, 0.2, 0.3])
    lens = messages.Intrinsics(
        np.array([[90.0, 0, 41.5], [0, 91.0, 41.0], [0, 0, 1]]), np.full(5, 0.01), 84, 84
    )
    with rosbag.Bag(str(bag), "a") as more:
        for name in ("third", "wrist"):
            info = messages.camera_info(lens, 100.0, optical_frame(name))
            more.write(f"/{name}/color/camera_info", info, Time.from_sec(100.0))
        placed = mounts({"third": ("panda_link0", X_BC)}, 99.0)
        more.write("/tf_static", TFMessage(placed), Time.from_sec(101.0))
    bring(bag, tmp_path / "out")
    said = check(tmp_path / "out").meta["calibration"]
    third = parse_calibration(said["third"], "third")
    assert np.array_equal(third.K, lens.K) and np.array_equal(third.D, lens.D)
    mount = parse_mount(said["third"], "third")
    assert mount is not None and mount.parent_frame == "panda_link0"
    assert np.allclose(optical_pose(mount), X_BC, atol=1e-6)
    assert "mount" not in said["wrist"], "nobody said where it is"
    assert not check_session(tmp_path / "out").problems


def test_a_twins_bag_says_where_things_were_when_the_arm_was_read(tmp_path) -> None:
    bag, straight = write(tmp_path / "a.bag"), np.array([0.0, 0.0, 0.0, 1.0])
    with rosbag.Bag(str(bag), "a") as more:
        for k in range(5 * STEPS + 6):
            stamp_s, cube_m = 99.99 + 0.02 * k, np.array([0.4, 0.0, 0.02 + 0.001 * k])
            places = to_places({"cube": (cube_m, straight)}, stamp_s)
            more.write("/judge/places", places, Time.from_sec(stamp_s + 0.06))
    bring(bag, tmp_path / "out")
    heights_m = [step.info["true_cube_z_m"] for step in check(tmp_path / "out").transitions]
    assert heights_m == pytest.approx([0.025 + 0.005 * k for k in range(STEPS)])


def test_actions_without_a_verdict_end_their_episode_and_are_told(tmp_path) -> None:
    told = bring(write(tmp_path / "v.bag", verdicts=False), tmp_path / "out")
    assert "their episodes end before them" in told["notes"][0]
    assert not check(tmp_path / "out", steps=3).complete


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ({"backwards": True}, "the clock of third runs backwards, 99.280000 s after 100.180000 s"),
        ({"cameras": ("third",)}, "has no topic wrist/color/image_raw"),
        ({"person": True}, "has no topic agent/action"),
    ],
)
def test_what_cannot_become_an_episode_leaves_nothing(tmp_path, how, told) -> None:
    bag = write(tmp_path / "b.bag", **how)
    with pytest.raises(BagError, match=told):
        bring(bag, tmp_path / "out")
    assert [p.name for p in tmp_path.iterdir()] == ["b.bag"]


def test_a_bag_of_other_messages_and_a_bag_that_was_cut_off(tmp_path) -> None:
    bag = write(tmp_path / "a.bag")
    topics = tmp_path / "topics.yaml"
    topics.write_text("action: /arm/state\n")
    with pytest.raises(BagError, match="expected handful/Action|no topic|another definition"):
        bring(bag, tmp_path / "out", topics=str(topics))
    bag.write_bytes(bag.read_bytes()[:20000])
    with pytest.raises((BagError, DataError), match="cannot be read|no episode"):
        bring(bag, tmp_path / "out")
