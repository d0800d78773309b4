"""Small episodes for the tests of the log: every picture is filled with its step number."""

import numpy as np

from handful.contract import Observation, Spec, Transition

SPEC = Spec(
    cameras=("third", "wrist"),
    height_px=4,
    width_px=5,
    frame_stack=2,
    state_dim=3,
    action_dim=4,
)


def observation(step: int, spec: Spec = SPEC) -> Observation:
    """What is seen at ``step``: stacks of step numbers, the newest last, the first repeated."""
    images = {}
    for index, camera in enumerate(spec.cameras):
        image = np.empty((spec.height_px, spec.width_px, 3 * spec.frame_stack), np.uint8)
        for place in range(spec.frame_stack):
            shown = max(0, step - (spec.frame_stack - 1 - place))
            image[:, :, 3 * place : 3 * place + 3] = (10 * index + shown) % 256
        images[camera] = image
    state = np.arange(spec.state_dim, dtype=np.float32) + step
    return Observation(images, state, 100.0 + 0.1 * step)


def transition(step: int, last: bool = False, spec: Spec = SPEC) -> Transition:
    """The transition that leads to ``step``."""
    return Transition(
        action=np.full(spec.action_dim, 0.001 * step, np.float32),
        reward=1.0 if last else 0.0,
        discount=0.0 if last else 1.0,
        next_observation=observation(step, spec),
        last=last,
        demo=step % 2 == 0,
        info={"verdict": "ok", "distance_m": 0.1 * step, "success": last},
    )


def assert_same_observation(found: Observation, expected: Observation) -> None:
    assert found.images.keys() == expected.images.keys()
    for name, image in expected.images.items():
        assert found.images[name].dtype == np.uint8
        assert np.array_equal(found.images[name], image), name
    assert found.state.dtype == np.float32
    assert np.array_equal(found.state, expected.state)
    assert found.stamp_s == expected.stamp_s


def assert_same_transition(found: Transition, expected: Transition) -> None:
    assert found.action.dtype == np.float32
    assert np.array_equal(found.action, expected.action)
    for name in ("reward", "discount", "last", "demo", "info"):
        assert getattr(found, name) == getattr(expected, name), name
    assert_same_observation(found.next_observation, expected.next_observation)
