"""What does not fit together is said before the first step: in the settings, and with the world."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from handful.contract import Spec

if TYPE_CHECKING:  # settings ask here whether they are possible
    from handful.learn.settings import AgentSettings


def impossible(s: "AgentSettings") -> Iterator[str]:
    """What in these settings cannot work together, a sentence each; nothing when all is well."""
    if s.batch_size > s.replay.capacity:
        yield (
            f"batch_size {s.batch_size} is more than replay.capacity {s.replay.capacity}; "
            "a batch must fit into what is kept"
        )
    if s.encoder.trained_by == "contrast" and s.contrast.weight == 0.0:
        yield "encoder.trained_by: contrast needs contrast.weight above 0; nothing else trains it"
    if s.contrast.double_step and not (s.contrast.sequential or s.contrast.own_step):
        yield (
            "contrast.double_step needs contrast.sequential: true or contrast.own_step: true; in "
            "a joint backward the eye has one optimiser, the critic's"
        )
    if s.contrast.own_step and s.contrast.sequential:
        yield (
            "contrast.sequential gives the contrast a step of its own already; leave "
            "contrast.own_step away, which is the same step from the critic's forward pass"
        )
    if s.predict.weight > 0.0 and s.encoder.trained_by != "critic":
        yield (
            f"predict.weight {s.predict.weight} needs encoder.trained_by: critic; foresight is a "
            "share of the gradient that the critic sends into the eye"
        )
    if s.clone.only:
        yield from _impossible_clone(s)
    if s.from_state:
        yield from _impossible_from_state(s)
        return
    if s.state_augment.kind != "none" and not s.proprioception:
        yield f"state_augment.kind: {s.state_augment.kind} needs proprioception: true"
    if s.image_px < 1:
        yield (
            f"augment.pad_px {s.augment.pad_px} leaves no picture inside a canvas of "
            f"encoder.input_px {s.encoder.input_px}"
        )
    cuts = {"cutout", "cutout_colour"} & set(s.augment.effects)
    if cuts and s.augment.cutout_px[0] >= s.encoder.input_px:
        yield (
            f"augment.cutout_px {list(s.augment.cutout_px)}: the box would begin beyond the "
            f"{s.encoder.input_px} px that the network sees"
        )


def _impossible_clone(s: "AgentSettings") -> Iterator[str]:
    """``clone.only`` acts with the actor that cloning has left behind, and with nothing else."""
    if not s.clone.init_actor:
        yield "clone.only needs clone.init_actor: true; the actor acts, and it must be the clone"
    if s.clone.proposal:
        yield (
            "clone.only needs clone.proposal: false; a critic chooses between proposals, and "
            "behaviour cloning trains none"
        )
    if s.actor.layer_norm:
        yield "clone.only needs actor.layer_norm: false; the clone has no norms to hand on"
    cloned = s.clone.updates > 0 or (s.pretrain.updates > 0 and s.pretrain.clone_weight > 0.0)
    if not cloned:
        yield (
            "clone.only with clone.updates: 0 and no cloning in pretrain (updates, clone_weight) "
            "leaves a policy that nothing has trained"
        )


def _impossible_from_state(s: "AgentSettings") -> Iterator[str]:
    needs_pixels = {
        "contrast.weight": s.contrast.weight > 0.0,
        "predict.weight": s.predict.weight > 0.0,
        "pretrain.updates": s.pretrain.updates > 0,
        "augment.kind": s.augment.kind != "none",
        "augment.effects": bool(s.augment.effects),
        "encoder.trained_by: pretraining": s.encoder.trained_by == "pretraining",
    }
    asked = [name for name, wanted in needs_pixels.items() if wanted]
    if asked:
        yield (
            f"cameras: [] learns from the state alone, but {', '.join(asked)} needs pictures; "
            "see config/agent/state.yaml"
        )
    if not s.proprioception:
        yield "cameras: [] with proprioception: false leaves nothing to learn from"


def check_spec(settings: "AgentSettings", spec: Spec) -> None:
    """Refuse (``ValueError``) an environment that this profile cannot learn in."""
    if spec.action_dim < 1:
        raise ValueError(
            f"the environment has {spec.action_dim} continuous actions, expected at least 1 in "
            "[-1, 1]; every method here is SAC, discrete actions need another agent"
        )
    if settings.from_state:
        _check_state(spec)
        return
    if not spec.cameras:
        raise ValueError(
            "the agent profile learns from pixels, the environment delivers a state and no "
            "pictures; give it a camera, or take a profile with cameras: [] (agent/state)"
        )
    want = (settings.image_px, settings.image_px, settings.frame_stack)
    have = (spec.height_px, spec.width_px, spec.frame_stack)
    if want != have:
        raise ValueError(
            f"the agent profile wants {want[0]}x{want[1]} px pictures in stacks of {want[2]}"
            f"{_why(settings)}, "
            f"the environment gives {have[0]}x{have[1]} px in stacks of {have[2]}; set "
            "rig.observe.image_px and rig.observe.frame_stack to match"
        )
    if settings.cameras is not None and settings.cameras != spec.cameras:
        raise ValueError(
            f"the agent profile wants cameras {', '.join(settings.cameras)}, "
            f"the environment has {', '.join(spec.cameras)}"
        )
    if settings.state_augment.kind != "none" and spec.state_dim < 1:
        raise ValueError(
            f"state_augment.kind: {settings.state_augment.kind}, "
            "but the environment delivers no state"
        )


def _check_state(spec: Spec) -> None:
    if spec.cameras:
        raise ValueError(
            "the agent profile learns from the state alone (cameras: []), the environment "
            f"delivers pictures of {', '.join(spec.cameras)}; build it without cameras, or take "
            "a profile that learns from pixels"
        )
    if spec.state_dim < 1:
        raise ValueError(
            "the agent profile learns from the state alone (cameras: []), the environment "
            "delivers no state"
        )


def _why(settings: "AgentSettings") -> str:
    """Where a size that is not the network's own comes from."""
    seen, kind = settings.encoder.input_px, settings.augment.kind
    if settings.image_px == seen:
        return ""
    if kind == "crop":
        return f" (augment.kind: crop cuts {seen} px out of them)"
    return f" (augment.kind: translate moves them about a canvas of {seen} px)"
