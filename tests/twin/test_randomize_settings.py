"""Distributions keep to their ranges, one number a draw; settings say what is wrong with them."""

import math

import numpy as np
import pytest
from handful_twin.distributions import Distribution
from handful_twin.randomize import draw
from handful_twin.randomize_settings import DelaySettings, RandomizeSettings
from handful_twin.settings import TwinSettings
from hypothesis import given, settings
from hypothesis import strategies as st

from handful.config import ConfigError, build, load, profiles, read

FINITE = st.floats(-1e3, 1e3)
ABOVE = st.floats(1e-3, 1e3)
RANKS = st.floats(0.0, 1.0, exclude_max=True)


def twin(**overrides: object) -> TwinSettings:
    return load(TwinSettings, "twin", {k.replace("__", "."): v for k, v in overrides.items()})


@st.composite
def distributions(draw_from: st.DrawFn) -> Distribution:
    kind = draw_from(st.sampled_from(["uniform", "log_uniform", "normal", "choice", "constant"]))
    if kind == "constant":
        return Distribution(constant=draw_from(FINITE))
    if kind == "choice":
        return Distribution(choice=tuple(draw_from(st.lists(FINITE, min_size=1, max_size=5))))
    if kind == "normal":
        return Distribution(normal=(draw_from(FINITE), draw_from(st.floats(0.0, 100.0))))
    low, high = sorted(draw_from(st.tuples(*[ABOVE if kind == "log_uniform" else FINITE] * 2)))
    return Distribution(**{kind: (low, high)})


@given(distributions(), RANKS, RANKS)
def test_a_draw_lies_in_its_range_and_rises_with_its_rank(
    what: Distribution, a: float, b: float
) -> None:
    low, high = sorted((a, b))
    assert what.low <= what.at(low) <= what.high
    if what.choice is None:
        assert what.at(low) <= what.at(high)
    else:
        assert what.at(a) in what.choice


@given(distributions(), st.integers(0, 2**32))
def test_every_distribution_takes_one_number_of_its_generator(
    what: Distribution, seed: int
) -> None:
    rng, other = np.random.default_rng(seed), np.random.default_rng(seed)
    assert what.draw(rng) == what.at(other.random())
    assert rng.bit_generator.state == other.bit_generator.state


@given(distributions())
def test_what_is_written_is_read_as_the_same(what: Distribution) -> None:
    written = RandomizeSettings.model_validate({"camera": {"position_m": what}}).model_dump()
    assert build(RandomizeSettings, written, "x").camera.position_m == what


def test_means_and_spreads_are_those_of_the_books() -> None:
    ranks = (np.arange(6_000) + 0.5) / 6_000
    uniform = [Distribution(uniform=(2.0, 5.0)).at(r) for r in ranks]
    assert np.mean(uniform) == pytest.approx(3.5)
    assert np.std(uniform) == pytest.approx(3.0 / math.sqrt(12.0), rel=1e-3)
    log = [math.log(Distribution(log_uniform=(0.5, 8.0)).at(r)) for r in ranks]
    assert np.mean(log) == pytest.approx(0.5 * (math.log(0.5) + math.log(8.0)))
    normal = [Distribution(normal=(1.0, 0.1)).at(r) for r in ranks]
    assert np.mean(normal) == pytest.approx(1.0)
    assert np.std(normal) == pytest.approx(0.1 * 0.9866, rel=1e-3)  # cut at 3 sigma
    choice = [Distribution(choice=(1.0, 2.0, 4.0)).at(r) for r in ranks]
    assert [choice.count(x) for x in (1.0, 2.0, 4.0)] == pytest.approx([2000, 2000, 2000], abs=2)


@pytest.mark.parametrize(
    ("key", "value", "complaint"),
    [
        ("randomize", "hart", r"randomize/hart: no shipped profile.*calibrated.*hard.*mild.*none"),
        ("randomize", 3, "must be a mapping"),
        ("randomize", {"like": 3}, "like: must be the name of a file, got 3"),
        ("randomize.camra", {"position_m": 1}, "unknown key; did you mean 'camera'"),
        ("randomize.camera.position_m", {"uniform": [1, 0]}, "low 1.0 is above high 0.0"),
        ("randomize.camera.position_m", {"gauss": [0, 1]}, "gauss: unknown key.*log_uniform"),
        ("randomize.camera.position_m", "far", "a number or a distribution such as"),
        ("randomize.camera.position_m", {}, "name one distribution.*got none"),
        ("randomize.camera.position_m", {"uniform": [0, 1], "normal": [0, 1]}, "got uniform and"),
        ("randomize.camera.position_m", {"choice": []}, "name at least one number"),
        ("randomize.camera.position_m", {"log_uniform": [0, 1]}, "low must be above 0, got 0"),
        ("randomize.camera.position_m", {"uniform": [0, math.inf]}, "finite"),
        ("randomize.picture.noise", {"normal": [9, -1]}, "standard deviation is below 0: -1"),
        (
            "randomize.picture.noise",
            {"normal": [1, 1]},
            "at or above 0, this lies between -2 and 4",
        ),
        ("randomize.picture.noise", -0.5, "must lie at or above 0"),
        ("randomize.physics.object_mass", {"uniform": [0, 1]}, "above 0 and at most at 100"),
        ("randomize.light.shadow", 1.5, "must lie between 0 and 1"),
        ("randomize.colour.table.texture", ["wood"], "must be 'plain', 'checker'"),
        ("delay.frame_s", -0.1, "must lie at or above 0"),
        ("delay.frames_s", 0.1, "did you mean 'frame_s'"),
        ("cameras.third.mount", {"parent_frame": "world"}, "bolted to panda_link0 or panda_hand"),
    ],
)
def test_what_cannot_be_is_refused_in_words(key: str, value: object, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint) as told:
        load(TwinSettings, "twin", {key: value})
    assert key.partition(".")[0] in str(told.value)


def test_shipped_files_are_known_and_each_goes_further_than_the_one_before() -> None:
    names = ["none", "mild", "calibrated", "hard"]
    assert sorted(profiles("randomize")) == sorted(f"randomize/{name}" for name in names)
    before: dict[str, Distribution] = {}
    for name in names:
        now = _flat(twin(randomize=name).randomize)
        for key, old in before.items():
            if key in now and not key.startswith("delay.scale"):
                if key not in (
                    "picture.noise",
                    "encoders.joint_noise_rad",
                    "encoders.finger_noise_m",
                ):
                    assert now[key].low <= old.low, f"{name}: {key}"
                assert now[key].high >= old.high, f"{name}: {key}"
        assert before.keys() <= now.keys()
        before = now
    assert not twin(randomize="none").randomize
    assert len(before) >= 50


def _flat(group: object, prefix: str = "") -> dict[str, Distribution]:
    found: dict[str, Distribution] = {}
    for key, value in vars(group).items():
        if isinstance(value, Distribution):
            found[prefix + key] = value
        elif hasattr(value, "model_fields_set"):
            found |= _flat(value, f"{prefix}{key}.")
    return found


def test_a_mapping_goes_on_top_of_the_file_it_is_like() -> None:
    own = twin(randomize={"like": "hard", "camera": {"position_m": {"uniform": [0.0, 0.5]}}})
    hard = twin(randomize="hard").randomize
    assert own.randomize.camera.position_m == Distribution(uniform=(0.0, 0.5))
    assert own.randomize.camera.fov_deg == hard.camera.fov_deg
    assert own.randomize.colour == hard.colour
    alone = twin(randomize__camera__position_m=0.02).randomize
    assert alone.model_dump() == {"camera": {"position_m": 0.02}}


def test_a_key_on_top_of_a_name_does_not_silently_undo_the_name() -> None:
    with pytest.raises(ConfigError, match=r"randomize is set to 'hard'.*would undo.*one mapping"):
        twin(randomize="hard", randomize__camera__fov_deg=1.0)


def test_a_file_of_ones_own_is_read_by_its_path(tmp_path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("picture: {noise: {uniform: [1, 2]}}\n")
    assert twin(randomize=str(path)).randomize.picture.noise == Distribution(uniform=(1.0, 2.0))


def test_resolved_settings_are_whole_and_come_back_from_a_runs_folder() -> None:
    hard = twin(randomize="hard", delay__frame_s={"uniform": [0.0, 0.1]})
    values = hard.model_dump(mode="json")
    assert values["randomize"]["camera"]["fov_deg"] == {"uniform": [-2.0, 2.0]}
    assert build(TwinSettings, values, "config.yaml") == hard
    assert load(TwinSettings, "twin").model_dump(mode="json")["randomize"] == {}
    assert set(read("twin")[0]["delay"]) == set(DelaySettings.model_fields)


@given(st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_what_is_drawn_is_within_what_was_asked_and_says_so(seed: int) -> None:
    asked = _HARD
    drawn = draw(asked, DelaySettings(), np.random.default_rng(seed), ["a", "b"], ["cube"])
    ranges = _flat(asked)
    for name, value in drawn.values.items():
        key = name.replace(".objects.cube", ".objects")
        found = [r for r in ranges if key == r or key.startswith(r + ".")]
        if isinstance(value, str):
            assert value in ("plain", "checker", "stripes", "noise", "gradient")
        else:
            assert len(found) == 1, name
            assert ranges[found[0]].low <= value <= ranges[found[0]].high, name
    assert np.abs(drawn.eyes["a"].X_CC[:3, 3]).max() <= 0.02
    assert drawn.tuning.table_height_m == drawn.values["physics.table_height_m"]


_HARD = load(TwinSettings, "twin", {"randomize": "hard"}).randomize


def test_one_range_more_or_less_changes_no_other_draw() -> None:
    def values(of: RandomizeSettings) -> dict[str, object]:
        return draw(of, DelaySettings(), np.random.default_rng(5), ["a", "b"], ["cube"]).values

    whole = values(_HARD)
    only = values(RandomizeSettings(camera=_HARD.camera, delay=_HARD.delay))
    assert only and only == {key: whole[key] for key in only}
    mild = values(load(TwinSettings, "twin", {"randomize": "mild"}).randomize)
    assert mild["light.ambient"] != whole["light.ambient"]
    # As far out in a mild file as in a hard one.
    for key in ("light.ambient", "camera.fov_deg.a"):
        rank = [
            _rank(_flat(s)[key.removesuffix(".a")], v[key])
            for s, v in ((_HARD, whole), (twin(randomize="mild").randomize, mild))
        ]  # type: ignore[arg-type]
        assert rank[0] == pytest.approx(rank[1])


def _rank(what: Distribution, value: float) -> float:
    assert what.uniform is not None
    return (value - what.low) / (what.high - what.low)
