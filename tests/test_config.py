"""Settings at the door: what is right gets in, and everything else gets one clear sentence."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import Field

from handful.config import ConfigError, Settings, build, load, parse_overrides, profiles


class Wheel(Settings):
    radius_m: float = Field(default=0.3, gt=0.0)
    spokes: int = 32


class Cart(Settings):
    name: str = "cart"
    top_speed_m_s: float = 1.0
    handles: tuple[float, float] = (0.0, 1.0)
    wheel: Wheel = Wheel()
    spares: dict[str, Wheel] = Field(default_factory=dict)
    owner: str | None = None
    brake: bool = True


def write(folder: Path, text: str) -> Path:
    path = folder / "cart.yaml"
    path.write_text(text, encoding="utf-8")
    return path


class TestWhatGetsIn:
    def test_an_empty_file_is_the_defaults(self, tmp_path) -> None:
        assert load(Cart, write(tmp_path, "")) == Cart()
        assert load(Cart, write(tmp_path, "# only a remark\n")) == Cart()

    def test_values_arrive_with_their_types(self, tmp_path) -> None:
        text = """
        name: 2020-01-01
        top_speed_m_s: 2
        handles: [0.5, 1e-3]
        wheel: {radius_m: 2.5e-1, spokes: 8}
        spares: {left: {spokes: 4}}
        owner: null
        brake: false
        """
        cart = load(Cart, write(tmp_path, text))
        assert cart.name == "2020-01-01"
        assert cart.top_speed_m_s == 2.0 and isinstance(cart.top_speed_m_s, float)
        assert cart.handles == (0.5, 0.001)
        assert cart.wheel == Wheel(radius_m=0.25, spokes=8)
        assert cart.spares == {"left": Wheel(spokes=4)}
        assert cart.owner is None and cart.brake is False

    @pytest.mark.parametrize(
        ("text", "value"), [("1e-4", 1e-4), ("3e5", 3e5), ("-2.E3", -2e3), ("1.0e-4", 1e-4)]
    )
    def test_an_exponent_is_a_number_however_it_is_written(self, tmp_path, text, value) -> None:
        assert load(Cart, write(tmp_path, f"top_speed_m_s: {text}")).top_speed_m_s == value

    def test_a_quoted_exponent_is_a_word(self, tmp_path) -> None:
        assert load(Cart, write(tmp_path, 'name: "1e4"')).name == "1e4"

    def test_settings_are_frozen(self) -> None:
        with pytest.raises(ValueError, match="frozen"):
            Cart().name = "other"  # type: ignore[misc]


class TestOverrides:
    def test_they_lie_on_top_of_the_file_at_any_depth(self, tmp_path) -> None:
        path = write(tmp_path, "wheel: {spokes: 8}\nname: mine")
        over = {"wheel.radius_m": 0.1, "spares.left.spokes": 5, "top_speed_m_s": 3}
        cart = load(Cart, path, over)
        assert cart.wheel == Wheel(radius_m=0.1, spokes=8)
        assert cart.spares == {"left": Wheel(spokes=5)}
        assert (cart.name, cart.top_speed_m_s) == ("mine", 3.0)

    def test_the_mapping_given_is_not_changed(self) -> None:
        values: dict[str, Any] = {"wheel": {"spokes": 8}}
        build(Cart, values, "here", {"wheel.spokes": 9, "name": "x"})
        assert values == {"wheel": {"spokes": 8}}

    def test_they_are_grouped_and_read_as_yaml(self) -> None:
        pairs = ("rig.a.b=1e-4", "rig.c=[1, 2]", "agent.name=x=y", "agent.on=true", "rig.d=null")
        assert parse_overrides(pairs) == {
            "rig": {"a.b": 1e-4, "c": [1, 2], "d": None},
            "agent": {"name": "x=y", "on": True},
        }
        assert parse_overrides(()) == {}

    @pytest.mark.parametrize("pair", ["", "rig", "rig.a", "rig=1", "=1", ".a=1", "rig.=1"])
    def test_a_malformed_pair_is_refused_with_an_example(self, pair) -> None:
        with pytest.raises(ConfigError, match=r"expected GROUP\.KEY=VALUE, for example agent\."):
            parse_overrides([pair])

    def test_a_value_that_is_no_yaml_is_refused(self) -> None:
        with pytest.raises(ConfigError, match=r"--set 'rig\.x=\[1': '\[1' is not a YAML value"):
            parse_overrides(["rig.x=[1"])

    def test_an_override_is_checked_like_a_line_of_the_file(self, tmp_path) -> None:
        with pytest.raises(ConfigError, match=r"wheel\.spoks: unknown key; did you mean 'spokes'"):
            load(Cart, write(tmp_path, ""), {"wheel.spoks": 3})
        with pytest.raises(ConfigError, match=r"top_speed_m_s: must be a valid number"):
            load(Cart, write(tmp_path, ""), {"top_speed_m_s.x": 3})


REFUSED = {
    "tpo_speed_m_s: 1": "tpo_speed_m_s: unknown key; did you mean 'top_speed_m_s'? known keys "
    "here: brake, handles, name, owner, spares, top_speed_m_s, wheel",
    "zzz: 1": "zzz: unknown key; known keys here: brake,",
    "wheel: {spoke: 1}": "wheel.spoke: unknown key; did you mean 'spokes'? known keys here: "
    "radius_m, spokes",
    "spares: {left: {spoke: 1}}": "spares.left.spoke: unknown key; did you mean 'spokes'?",
    "top_speed_m_s: fast": "top_speed_m_s: must be a valid number (got 'fast')",
    'top_speed_m_s: "1"': "top_speed_m_s: must be a valid number (got '1')",
    "top_speed_m_s: .inf": "top_speed_m_s: must be a finite number (got inf)",
    "top_speed_m_s: .nan": "top_speed_m_s: must be a finite number (got nan)",
    "top_speed_m_s: 2020-01-01": "top_speed_m_s: must be a valid number (got '2020-01-01')",
    "top_speed_m_s: true": "top_speed_m_s: must be a valid number (got True)",
    "wheel: {spokes: 1.5}": "wheel.spokes: must be a valid integer (got 1.5)",
    "wheel: {radius_m: -1}": "wheel.radius_m: must be greater than 0 (got -1)",
    "wheel: 3": "wheel: must be a mapping of keys (got 3)",
    "wheel:": "wheel: must be a mapping of keys (got None)",
    "brake: 1": "brake: must be a valid boolean (got 1)",
    "name: 3": "name: must be a valid string (got 3)",
    "handles: [1.0]": "handles.1: missing, and it has no default",
    "handles: [1, 2, 3]": "handles: Tuple should have at most 2 items",
    "name: a\nname: b": "not valid YAML: line 2: key 'name' is given twice",
    "wheel: {spokes: 1, spokes: 2}": "not valid YAML: line 1: key 'spokes' is given twice",
    "wheel: {": "not valid YAML: line 1: expected the node content, but found '<stream end>'",
    "name: !!python/object/apply:os.getcwd []": "not valid YAML: line 1: could not determine a "
    "constructor",
    "? [1, 2]\n: 3": "not valid YAML: line 1: a key must be one word, got",
    "a: &a [*a]": "a value contains itself, by way of a YAML alias",
    "- 1\n- 2": "expected a mapping of keys to values, got list",
    "just words": "expected a mapping of keys to values, got str",
    "7": "expected a mapping of keys to values, got int",
    "1: 2": "1: unknown key",
}


@pytest.mark.parametrize(("text", "message"), REFUSED.items())
def test_one_sentence_names_file_key_and_value(tmp_path, text, message) -> None:
    path = write(tmp_path, text)
    with pytest.raises(ConfigError) as error:
        load(Cart, path)
    assert str(error.value).startswith(f"{path}: ")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_all_mistakes_are_told_at_once(tmp_path) -> None:
    with pytest.raises(ConfigError) as error:
        load(Cart, write(tmp_path, "brake: 1\nwheel: {spokes: x}\nzzz: 1"))
    assert str(error.value).count(";") >= 3
    assert all(key in str(error.value) for key in ("brake", "wheel.spokes", "zzz"))


class TestSources:
    def test_a_missing_file_is_named(self) -> None:
        with pytest.raises(ConfigError, match=r"nowhere\.yaml: no such settings file"):
            load(Cart, "nowhere.yaml")

    def test_a_file_that_is_no_text_is_named(self, tmp_path) -> None:
        path = tmp_path / "x.yaml"
        path.write_bytes(b"\xff\xfe\x00name")
        with pytest.raises(ConfigError, match=r"x\.yaml: cannot be read"):
            load(Cart, path)

    def test_an_unknown_profile_lists_the_known_ones(self) -> None:
        with pytest.raises(ConfigError, match=r"agent/leen: no shipped profile.*agent/lean"):
            load(Cart, "agent/leen")
        with pytest.raises(ConfigError, match=r"needs its \.yaml ending"):
            load(Cart, "somewhere/mine")

    def test_shipped_profiles_are_found_by_kind(self) -> None:
        assert "agent/lean" in profiles("agent")
        assert all(name.startswith("task/") for name in profiles("task"))
