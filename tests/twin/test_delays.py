"""What is late arrives in order, when a formula says, with the stamp of when it was made."""

import math
from collections.abc import Iterator

import numpy as np
import pytest
from handful_twin import TwinTaskEnv, make_env
from handful_twin.delays import InFlight, Latency
from handful_twin.distributions import Distribution
from handful_twin.live import LiveTwin, Order
from handful_twin.settings import LiveSettings, TwinSettings
from handful_twin.stage import Stage
from handful_twin.tasks import make_task
from hypothesis import given
from hypothesis import strategies as st

from handful.config import load
from handful.contract import Command, Frame
from handful.rig.camera import StaleFrameError
from handful.rig.settings import RigSettings

DT_S = 1.0 / 240.0
RIG = load(RigSettings, "rig")
ONE = RIG.model_copy(update={"cameras": {"third": RIG.cameras["third"]}})
JITTER = Distribution(uniform=(0.0, 0.04))


def late(**delay: object) -> TwinSettings:
    return load(TwinSettings, "twin", {f"delay.{key}": value for key, value in delay.items()})


def env_of(twin: TwinSettings, rig: RigSettings = ONE) -> TwinTaskEnv:
    return make_env("lift", rig, twin)


@pytest.fixture(scope="module")
def prompt() -> Iterator[TwinTaskEnv]:
    env = env_of(load(TwinSettings, "twin"))
    yield env
    env.close()


def actions(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1.0, 1.0, (count, 4)).astype(np.float32)


@given(st.lists(st.tuples(st.floats(0.0, 1.0), st.floats(0.0, 3.0)), max_size=20))
def test_nothing_overtakes_and_nothing_is_early(things: list[tuple[float, float]]) -> None:
    line: InFlight[int] = InFlight()
    now_s, last_s = 0.0, -math.inf
    for k, (after_s, delay_s) in enumerate(things):
        now_s += after_s
        item = line.send(now_s, delay_s, k)
        assert item.arrives_s == max(now_s + delay_s, last_s)
        last_s = item.arrives_s
    arrived = [line.pop() for _ in range(len(line))]
    assert [item.value for item in arrived] == list(range(len(things)))
    assert line.next_s() == math.inf


def test_a_line_goes_back_to_a_moment() -> None:
    line: InFlight[str] = InFlight()
    line.send(0.0, 1.0, "a")
    then = line.snapshot()
    line.send(0.1, 1.0, "b")
    line.pop()
    line.put_back(then)
    assert (len(line), line.newest(), line.send(0.2, 0.0, "c").arrives_s) == (1, "a", 1.0)
    line.clear()
    assert line.send(0.2, 0.0, "d").arrives_s == 0.2, "a line that was emptied holds nothing up"


def test_jitter_hangs_on_the_number_of_the_thing_alone() -> None:
    latency = Latency(0.02, (JITTER,), 7)
    drawn = [latency.of(k) for k in range(400)]
    assert [latency.of(k) for k in reversed(range(400))] == drawn[::-1]
    assert 0.02 <= min(drawn) < 0.022 and 0.058 < max(drawn) <= 0.06
    assert np.mean(drawn) == pytest.approx(0.04, abs=0.002)
    assert Latency(0.02, (JITTER,), 8).of(0) != drawn[0]
    assert Latency(0.0, (Distribution(uniform=(-0.5, -0.1)),), 1).of(3) == 0.0
    assert latency and not Latency() and not Latency(0.0, (Distribution(constant=0.0),), 3)


@pytest.mark.parametrize("delay_s", [0.03, 0.1, 0.17])
def test_a_look_sees_the_picture_that_was_taken_so_long_before(
    prompt: TwinTaskEnv, delay_s: float
) -> None:
    """Against a twin stopped at the very step at which the late one took its picture."""
    env = env_of(late(frame_s=delay_s))
    acts = actions(6)
    first = env.reset(3)
    begin_s = env.clock.now_s()
    assert begin_s - first.stamp_s == pytest.approx(delay_s, abs=DT_S)
    seen = [env.step(action).next_observation for action in acts]
    for k, observation in enumerate(seen, start=1):
        look_s = begin_s + 0.1 * k
        taken_s = math.floor((look_s - delay_s) / DT_S + 1e-3) * DT_S
        assert observation.parts_s[0] == pytest.approx(taken_s, abs=1e-9)
        assert observation.stamp_s == observation.parts_s[0], "the oldest part is its age"
        assert observation.parts_s[1] == pytest.approx(look_s), "the arm's state is not late"
        # The same moment without delays: whole steps, and then as far into one as needed.
        prompt.reset(3)
        into_s = max(taken_s, begin_s) - begin_s
        whole = int(into_s / 0.1 + 1e-6)
        for action in acts[:whole]:
            prompt.step(action)
        rest_steps = round((into_s - 0.1 * whole) / DT_S)
        if rest_steps:
            prompt._loop._gate.submit(acts[whole], prompt._seen)
            prompt.world.advance(rest_steps)
        picture = prompt.stage.eyes["third"].picture()
        assert np.array_equal(observation.images["third"], picture), f"look {k}"
    env.close()


def test_the_arm_goes_the_same_way_however_late_the_pictures_are(prompt: TwinTaskEnv) -> None:
    env = env_of(late(frame_s=0.05, frame_jitter_s={"uniform": [0.0, 0.03]}))
    env.reset(1)
    prompt.reset(1)
    for action in actions(8):
        a, b = env.step(action).next_observation, prompt.step(action).next_observation
        assert np.array_equal(a.state, b.state)
        assert 0.05 - 1e-9 <= env.clock.now_s() - a.stamp_s <= 0.08 + DT_S
    env.close()


def test_an_action_from_a_picture_that_is_too_old_is_held_by_the_guard() -> None:
    rig = load(RigSettings, "rig", {"observe.max_frame_age_s": 0.5, "guard.max_age_s": 0.12})
    env = env_of(late(frame_s=0.15), rig)
    env.reset(0)
    transition = env.step(np.array([1.0, 0.0, 0.0, 0.0]))
    assert transition.info["verdict"] == "stale"
    assert np.abs(transition.action[:3]).max() < 0.1, "it should stand where it is measured"
    env.close()
    env = env_of(late(frame_s=0.3))
    with pytest.raises(StaleFrameError, match=r"third.*0\.30\d s old.*0\.2 s"):
        env.reset(0)
    env.close()


@pytest.mark.parametrize("delay_s", [0.05, 0.23])
def test_a_command_is_obeyed_late_and_steps_add_up_on_what_was_commanded(
    prompt: TwinTaskEnv, delay_s: float
) -> None:
    env = env_of(late(command_s=delay_s))
    env.reset(2)
    prompt.reset(2)
    start_s, acts = env.clock.now_s(), actions(7)
    goals = []
    for action in acts:
        env.step(action)
        prompt.step(action)
        goals.append(prompt.world.motors.q_rad)
        assert np.array_equal(env.arm.target.p_BT_m, prompt.arm.target.p_BT_m)
        # Commands are sent at start + 0.1 k; the newest that has had its delay is in the motors.
        obeyed = math.floor((env.clock.now_s() - start_s - delay_s) / 0.1 + 1e-6)
        if obeyed >= 0:
            assert np.array_equal(env.world.motors.q_rad, goals[obeyed])
    assert len(env.arm.line) == math.ceil(delay_s / 0.1) - 1
    env.arm.stop()
    assert len(env.arm.line) == 0, "an arm that stops forgets what was on its way"
    env.close()


def test_a_moment_with_things_on_their_way_is_restored() -> None:
    delays = {"frame_s": 0.12, "frame_jitter_s": {"uniform": [0.0, 0.05]}, "command_s": 0.13}
    env = env_of(late(**delays, command_jitter_s={"uniform": [0.0, 0.05]}))
    acts = actions(12)

    def play(some: np.ndarray) -> list[bytes]:
        seen = [env.step(action).next_observation for action in some]
        return [
            o.state.tobytes() + o.images["third"].tobytes() + repr(o.parts_s).encode() for o in seen
        ]

    env.reset(4)
    play(acts[:5])
    moment = env.save()
    after = play(acts[5:])
    env.reset(9)
    play(acts[:3])
    for _ in range(2):
        env.restore(moment)
        assert play(acts[5:]) == after
    env.close()


def test_two_looks_at_one_picture_share_no_memory() -> None:
    env = env_of(late(frame_s=0.05))
    env.reset(0)
    eye = env._eyes["third"]
    a, b = eye.latest(1.0), eye.latest(1.0)
    assert a.stamp_s == b.stamp_s and np.array_equal(a.pixels, b.pixels)
    assert not np.shares_memory(a.pixels, b.pixels)
    env.close()


def test_beside_a_clock_the_same_delays_hold() -> None:
    twin = late(frame_s=0.06, frame_jitter_s={"uniform": [0.0, 0.02]}, command_s=0.1)
    live = LiveTwin(Stage(make_task("lift"), ONE, twin), LiveSettings(sensor_delay_s=0.01))
    arrived: list[tuple[float, Frame]] = []
    goal = Command(np.array([0.5, 0.0, 0.2]), 0.0, 0.08)
    obeyed_s = math.inf
    for step in range(1, 120):
        now_s = step * DT_S
        if step == 24:
            live.receive(Order(1, live.now_s, goal, False, 1.0), 1000.0 + now_s)
        for thing in live.advance(now_s + 1e-6, 1000.0 + now_s):
            if isinstance(thing, Frame):
                arrived.append((live.now_s, thing))
            elif thing.order:
                obeyed_s = min(obeyed_s, thing.arm.stamp_s)
    assert len(arrived) > 10
    ages = np.array([now_s - frame.stamp_s for now_s, frame in arrived])
    assert ages.min() >= 0.07 - 1e-6 and ages.max() <= 0.09 + DT_S + 1e-6
    assert np.ptp(ages) > 2 * DT_S, "no jitter"
    stamps = [frame.stamp_s for _, frame in arrived]
    assert stamps == sorted(stamps)
    assert 23 * DT_S + 0.1 - 1e-6 <= obeyed_s <= 24 * DT_S + 0.1 + 0.02 + DT_S
    live.close()
