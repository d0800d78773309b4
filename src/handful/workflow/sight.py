"""What pre-training has taught the eye, in numbers, on episodes it has not seen; and a verdict.

Three questions. Does a straight line through the latent say where things are (ridge regression,
each episode guessed by the others)? Does the contrast know a moment again in another view? Do
moments that look alike in the latent have their things in the same place? Each answer stands beside
that of an eye that has learned nothing, and of a guess that does not look at all.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from handful.learn.contrast import hit_rate
from handful.learn.gallery import Gallery
from handful.workflow.held_out import Floats, HeldOut
from handful.workflow.probe import guesses, neighbours

BATCH, DRAWS = 64, 20
"""Held-out moments in one contrastive question, and how many are asked."""
GOOD_RATIO, BAD_RATIO = 0.45, 0.60
"""Probe error over that of the mean: at most for good, at least for bad. docs/pretraining.md."""
GOOD_HITS, BAD_HITS = 0.50, 0.30
"""Share of moments known again: at least for good, at most for bad."""
LEAST_CHANGE = 1.0
"""Grey levels by which an eighth of a camera's picture must vary over all moments, on average."""


@dataclass(frozen=True)
class Probe:
    """How well the latent tells one place. error_m: mean distance of guess and truth [m], of this
    eye; mean_m: of the mean of the other episodes; untrained_m: of an eye as it was drawn."""

    error_m: float
    mean_m: float
    untrained_m: float

    @property
    def ratio(self) -> float:
        """Error over the error of not looking: 0 tells exactly, 1 tells nothing."""
        return self.error_m / self.mean_m if self.mean_m > 0.0 else 1.0


@dataclass(frozen=True)
class Sight:
    """What was measured. hits: share of held-out moments known again among ``batch``; None where
    the contrast is not trained. near_m, random_m: median distance [m] of the first thing's place
    between a moment and its nearest in the latent, of another episode, and a random one.
    clone_error: mean squared distance of the clone's action to the demonstrated one, per step;
    clone_mean: of their mean; None without held-out demonstrations.
    blind: cameras that show the same at every moment.
    """

    episodes: int
    frames: int
    source: str
    probes: Mapping[str, Probe]
    hits: float | None
    untrained_hits: float | None
    batch: int
    near_m: float | None
    random_m: float | None
    clone_error: float | None
    clone_mean: float | None
    blind: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values, the verdict and its reasons with them."""
        word, reasons = verdict(self)
        values = asdict(self)
        for name, probe in self.probes.items():
            values["probes"][name]["ratio"] = probe.ratio
        return {"verdict": word, "reasons": reasons, **values}


def assess(learner: Any, blank: Any, held_out: HeldOut) -> Sight:
    """Measure ``learner`` on ``held_out`` beside ``blank``, a learner that has learned nothing."""
    latents, before = latents_of(learner, held_out), latents_of(blank, held_out)
    episodes, first = held_out.episodes, next(iter(held_out.places.values()), None)
    probes = {
        name: Probe(
            _error_m(latents, places, episodes),
            _error_m(None, places, episodes),
            _error_m(before, places, episodes),
        )
        for name, places in held_out.places.items()
    }
    asked = learner.settings.pretrain.contrast_weight > 0.0
    batch = min(BATCH, len(episodes))
    near_m, random_m = (None, None) if first is None else retrieval_m(latents, first, episodes)
    clone_error, clone_mean = _cloning(learner, held_out)
    return Sight(
        episodes=len(np.unique(episodes)),
        frames=len(episodes),
        source=held_out.source,
        probes=probes,
        hits=contrast_hits(learner, held_out, batch) if asked else None,
        untrained_hits=contrast_hits(blank, held_out, batch) if asked else None,
        batch=batch,
        near_m=near_m,
        random_m=random_m,
        clone_error=clone_error,
        clone_mean=clone_mean,
        blind=tuple(blind_cameras(held_out)),
    )


def verdict(sight: Sight) -> tuple[str, list[str]]:
    """``good``, ``doubtful`` or ``bad``, and why, a sentence each.

    The worst place counts, things before the tool: what the latent does not tell, no hand can use.
    Bad: a camera that shows the same at every moment, an error of at least BAD_RATIO of that of the
    mean, no better than an eye that was never trained, or at most BAD_HITS. Good: at most
    GOOD_RATIO and at least GOOD_HITS. Else doubtful.
    """
    bad, doubtful, said = list[str](), list[str](), list[str]()
    things = {n: p for n, p in sight.probes.items() if n != "tool"} or dict(sight.probes)
    for name, probe in things.items():
        words = (
            f"{name}: {100 * probe.error_m:.1f} cm off on average, "
            f"{100 * probe.ratio:.0f} % of not looking ({100 * probe.mean_m:.1f} cm); "
            f"untrained {100 * probe.untrained_m:.1f} cm"
        )
        if probe.ratio >= BAD_RATIO or probe.error_m >= probe.untrained_m:
            bad.append(words)
        elif probe.ratio > GOOD_RATIO:
            doubtful.append(words)
        else:
            said.append(words)
    bad += [
        f"camera {name} shows the same at every moment: dark, covered or frozen"
        for name in sight.blind
    ]
    if sight.hits is not None:
        words = (
            f"the contrast knows {100 * sight.hits:.0f} % of {sight.batch} moments again "
            f"(chance {100 / sight.batch:.1f} %)"
        )
        into = bad if sight.hits <= BAD_HITS else doubtful if sight.hits < GOOD_HITS else said
        into.append(words)
    if set(things) == {"tool"}:
        doubtful.append("where things are was not recorded, so only the tool's place was asked for")
    if not things:
        doubtful.append(
            "neither things nor the tool have a recorded place, so no place was asked for"
        )
    word = "bad" if bad else "doubtful" if doubtful else "good"
    return word, [*bad, *doubtful, *said]


def blind_cameras(held_out: HeldOut) -> list[str]:
    """Cameras whose picture hardly changes, noise apart: means over 8 x 8 fields are compared."""
    found = []
    for name in held_out.observations[0].images:
        newest = np.stack([o.images[name][:, :, -3:].mean(2) for o in held_out.observations])
        rows = [field.mean(1) for field in np.array_split(newest, 8, axis=1)]
        fields = [part.mean(1) for row in rows for part in np.array_split(row, 8, axis=1)]
        if float(np.mean([field.std() for field in fields])) < LEAST_CHANGE:
            found.append(name)
    return found


def latents_of(learner: Any, held_out: HeldOut) -> NDArray[np.float32]:
    """(N, Z): what the critic is given of each moment."""
    return np.stack([learner.embed(observation) for observation in held_out.observations])


def retrieval_m(
    latents: NDArray[np.float32], places: Floats, episodes: NDArray[np.int64]
) -> tuple[float, float]:
    """Median distance [m] of places to the nearest moment's of another episode, and a random's."""
    near = [neighbours(latents, episodes, query, 1)[0] for query in range(len(latents))]
    rng = np.random.default_rng(0)
    other = [int(rng.choice(np.flatnonzero(episodes != episode))) for episode in episodes]

    def apart(chosen: list[int]) -> float:
        return float(np.median(np.linalg.norm(places - places[chosen], axis=1)))

    return apart(near), apart(other)


@torch.no_grad()
def contrast_hits(learner: Any, held_out: HeldOut, batch: int) -> float:
    """Share of moments whose own second view scores highest among those of ``batch`` moments."""
    agent, gallery = learner.agent, Gallery(learner.spec, [0] * len(held_out.observations))
    for observation in held_out.observations:
        gallery.begin(observation)
    kept, rates = learner.rng, []
    learner.rng = np.random.default_rng(0)
    try:
        for _ in range(DRAWS):
            views = gallery.views(learner, batch, repeats=False)
            query = agent.critic.latent.visual(agent.encoder(views.query))
            key = agent.target_critic.latent.visual(agent.target_encoder(views.key))
            rates.append(float(hit_rate(agent.bilinear(query, key))))
    finally:
        learner.rng = kept
    return float(np.mean(rates))


def _error_m(
    latents: NDArray[np.float32] | None, places: Floats, episodes: NDArray[np.int64]
) -> float:
    if latents is None:
        latents = np.zeros((len(places), 1), np.float32)  # nothing to look at: the mean is left
    guess = guesses(latents, places, episodes)
    return float(np.linalg.norm(guess - places, axis=1).mean())


def _cloning(learner: Any, held_out: HeldOut) -> tuple[float | None, float | None]:
    shown: NDArray[np.bool_] = np.asarray(np.isfinite(held_out.actions).all(axis=1))
    clone = learner.settings.clone
    if not shown.any() or not (clone.proposal or clone.init_actor):
        return None, None
    actions = held_out.actions[shown]
    seen = [o for o, s in zip(held_out.observations, shown, strict=True) if s]
    guess = np.stack([learner.acting.clone(observation) for observation in seen])
    error = float(((guess - actions) ** 2).sum(1).mean())
    return error, float(((actions - actions.mean(0)) ** 2).sum(1).mean())
