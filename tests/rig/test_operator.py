"""Keys and buttons to what a person wants: edges, repeats, escapes, silence."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handful.config import ConfigError, build, load, read
from handful.rig.operator import (
    MEANINGS,
    Buttons,
    Intent,
    Keyboard,
    OperatorSettings,
    Seen,
    help_lines,
    spoken,
    status_line,
)

SHIPPED = load(OperatorSettings, "node/operator")


def pressed(*states: tuple[int, ...], silence_s: float = 0.0, every_s: float = 0.05):
    settings = SHIPPED.model_copy(update={"joy_silence_s": silence_s})
    buttons = Buttons(settings)
    return [buttons.state(state, k * every_s) for k, state in enumerate(states)]


def down(*indices: int, count: int = 11) -> tuple[int, ...]:
    return tuple(int(k in indices) for k in range(count))


def test_the_shipped_settings_are_the_defaults_and_every_one_of_them() -> None:
    assert OperatorSettings() == SHIPPED
    assert set(read("node/operator")[0]) == set(OperatorSettings.model_fields)
    assert set(SHIPPED.keys) == set(Intent) == set(MEANINGS)


@pytest.mark.parametrize(
    ("character", "intent"),
    [
        ("b", Intent.BEGIN),
        ("e", Intent.END),
        ("s", Intent.SUCCESS),
        ("f", Intent.FAILURE),
        (" ", Intent.STOP),
        ("h", Intent.HOLD),
        ("r", Intent.RESUME),
        ("R", Intent.RESUME),
        ("?", Intent.HELP),
    ],
)
def test_every_key_means_what_the_page_says(character: str, intent: Intent) -> None:
    assert Keyboard(SHIPPED).press(character, 1.0) == [intent]


def test_other_keys_mean_nothing() -> None:
    assert Keyboard(SHIPPED).press("wyz12\t\n\r€", 1.0) == []


def test_a_key_held_down_counts_once_but_stop_every_time() -> None:
    keyboard = Keyboard(SHIPPED)
    found = [keyboard.press("s", 0.03 * k) for k in range(100)]
    assert sum(found, []) == [Intent.SUCCESS]
    assert keyboard.press("s", 3.0 + SHIPPED.repeat_s) == [Intent.SUCCESS]
    assert keyboard.press("f", 3.5) == [Intent.FAILURE]
    assert keyboard.press("   ", 4.0) == [Intent.STOP] * 3


@pytest.mark.parametrize("sequence", ["\x1b[A", "\x1bOP", "\x1b[15~", "\x1b[1;5C", "\x1br"])
@pytest.mark.parametrize("chunked", [False, True])
def test_arrows_and_function_keys_are_not_the_letters_they_are_made_of(
    sequence: str, chunked: bool
) -> None:
    keyboard = Keyboard(SHIPPED)
    found = []
    for chunk in sequence if chunked else [sequence]:
        found += keyboard.press(chunk, 1.0)
    assert found + keyboard.settle(2.0) == []
    assert keyboard.press("r", 3.0) == [Intent.RESUME]


def test_a_lone_escape_stops_once_it_is_known_to_be_alone() -> None:
    keyboard = Keyboard(SHIPPED)
    assert keyboard.press("\x1b", 1.0) == []
    assert keyboard.settle(1.01) == []
    assert keyboard.settle(1.1) == [Intent.STOP]
    assert keyboard.settle(2.0) == []
    assert keyboard.press("\x1b", 3.0) == []
    assert keyboard.press("r", 3.5) == [Intent.STOP, Intent.RESUME]


@given(st.text(max_size=30), st.lists(st.floats(0.0, 10.0), max_size=30))
def test_whatever_is_typed_only_configured_keys_do_something(text: str, times: list[float]) -> None:
    keyboard, now_s = Keyboard(SHIPPED), 0.0
    for character, later_s in zip(text, times, strict=False):
        now_s += later_s
        keyboard.press(character, now_s)
    stop = keyboard.settle(now_s + 1.0) or keyboard.press(" ", now_s + 1.0)
    assert Intent.STOP in stop, "something typed before kept the space bar from stopping"


@pytest.mark.parametrize(
    ("word", "intent"),
    [
        ("stop", Intent.STOP),
        (" ", Intent.STOP),
        ("space", Intent.STOP),
        ("ESC", Intent.STOP),
        ("s", Intent.SUCCESS),
        (" Success\n", Intent.SUCCESS),
        ("?", Intent.HELP),
        ("", None),
        ("stopp", None),
        ("sb", None),
        ("  ", None),
    ],
)
def test_a_word_means_what_it_names_and_not_its_letters(word: str, intent: Intent | None) -> None:
    assert spoken(SHIPPED, word) is intent


def test_a_button_counts_when_it_goes_down() -> None:
    assert pressed(down(), down(0), down(0), down(), down(0)) == [
        [],
        [Intent.SUCCESS],
        [],
        [],
        [Intent.SUCCESS],
    ]


@pytest.mark.parametrize("button", [1, 4, 5])
def test_any_of_the_stop_buttons_stops_and_stop_comes_first(button: int) -> None:
    assert pressed(down(), down(0, button))[1] == [Intent.STOP, Intent.SUCCESS]


def test_a_button_that_is_down_from_the_start_means_nothing_unless_stop() -> None:
    assert pressed(down(0, 7, 8), down(0, 7, 8)) == [[], []]
    assert pressed(down(4), down(4)) == [[Intent.STOP], []]


def test_a_gamepad_that_fell_silent_is_a_new_one_when_it_comes_back() -> None:
    states = [down(), down(8), down(8)]
    assert pressed(*states, every_s=1.0, silence_s=0.5) == [[], [], []]
    assert pressed(*states, every_s=1.0, silence_s=0.0) == [[], [Intent.RESUME], []]
    assert pressed(down(), down(1), every_s=1.0, silence_s=0.5) == [[], [Intent.STOP]]
    buttons = Buttons(SHIPPED.model_copy(update={"joy_silence_s": 0.5}))
    assert not buttons.silent(100.0), "one that never spoke is not silent, it is not there"
    buttons.state(down(), 100.0)
    assert not buttons.silent(100.5) and buttons.silent(100.6)


def test_buttons_that_a_gamepad_lacks_are_named() -> None:
    buttons = Buttons(SHIPPED)
    assert buttons.missing == [], "nobody knows yet"
    buttons.state(down(count=6), 0.0)
    assert buttons.missing == ["begin: 7", "end: 6", "resume: 8", "redo: 9"]
    assert buttons.state(down(5, count=6), 0.1) == [Intent.STOP]
    assert buttons.state((0,) * 3, 0.2) == []


@given(st.lists(st.lists(st.integers(0, 1), min_size=0, max_size=12), max_size=40))
def test_an_intent_comes_only_with_a_fresh_press(states: list[list[int]]) -> None:
    buttons, found = Buttons(SHIPPED), []
    for k, state in enumerate(states):
        found.append(buttons.state(tuple(state), 0.05 * k))
    for (before, after), intents in zip(pairwise(states), found[1:], strict=False):
        for intent in intents:
            assert any(
                k < len(after) and after[k] and (k >= len(before) or not before[k])
                for k in SHIPPED.buttons[intent]
            )


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"keys": {"stop": []}}, "stop needs a key"),
        ({"keys": {"stop": ["space"], "end": ["s"], "success": ["S"]}}, "'s' means|s means"),
        ({"keys": {"stop": ["spacebar"]}}, "'spacebar' is no key"),
        ({"keys": {"stop": ["space"], "jump": ["j"]}}, "jump"),
        ({"buttons": {"stop": [1], "end": [1]}}, "1 means two things"),
        ({"buttons": {"stop": [-1]}}, "count from 0"),
        ({"joy_silence": 1.0}, "joy_silence_s"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(change: dict, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        build(OperatorSettings, change, "operator_node")


def test_the_line_says_first_what_the_guard_does() -> None:
    assert status_line(Seen()) == "guard not heard"
    seen = Seen("HELD: camera third fell silent", 0.1, "12 running", "evaluate 3/4", "stop: done")
    parts = ["guard HELD: camera third fell silent", "episode 12 running", "agent evaluate 3/4"]
    assert status_line(seen).split(" | ") == [*parts, "stop: done"]
    assert status_line(Seen("ready", 4.0)) == "guard SILENT for 4 s"
    assert len(status_line(seen, 40)) == 40 and status_line(seen, 40).endswith("…")


def test_the_list_of_keys_begins_with_stop_and_has_them_all() -> None:
    lines = help_lines(SHIPPED)
    assert "stop" in lines[0] and "space or esc" in lines[0]
    assert len(lines) == len(Intent)
