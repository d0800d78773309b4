"""A success classifier from recorded sessions: trained, measured, mended by its mistakes."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from handful import __version__
from handful.config import load
from handful.learn import success
from handful.learn.settings import AgentSettings
from handful.learn.success import Bank, SuccessClassifier
from handful.learn.success_drift import DriftAlarm
from handful.learn.success_eye import Eye
from handful.learn.success_fit import NothingToLearn, fit
from handful.learn.success_settings import SuccessSettings
from handful.workflow.errors import RunError
from handful.workflow.parts import load_learner
from handful.workflow.results import commit, write_json
from handful.workflow.reward_data import Sessions, fits, hold_out, open_sessions, to_bank
from handful.workflow.reward_metrics import RULE, Row, at_threshold, choose, sweep
from handful.workflow.run_folder import find_checkpoint

Progress = Callable[[int, int, dict[str, float]], None]


@dataclass(frozen=True)
class Judged:
    """A classifier on some frames. chosen: at its threshold; rows: at every one."""

    classifier: SuccessClassifier
    bank: Bank
    scores: Any
    chosen: Row
    rows: list[Row]
    drift_share: float
    alarms: int
    notes: list[str]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return {
            "threshold": self.classifier.threshold,
            "hold_steps": self.classifier.settings.hold_steps,
            "chosen": self.chosen.to_dict(),
            "sweep": [one.to_dict() for one in self.rows],
            "unusual_share": round(self.drift_share, 4),
            "episodes_with_drift_alarm": self.alarms,
            "about": self.classifier.about,
            "notes": self.notes,
        }


def train(
    paths: list[Path],
    settings: SuccessSettings,
    seed: int,
    encoder: Path | None = None,
    progress: Progress | None = None,
) -> Judged:
    """Train on three quarters of the episodes, choose the threshold on the rest.

    Args:
        encoder: a checkpoint or run whose eye is taken; None: one is trained here by contrast.
    Raises:
        RunError: too little to learn from, or the encoder was made for other pictures.
    """
    sessions = open_sessions(paths)
    if encoder is None:
        eye = contrast_eye(sessions, settings, seed, progress)
    else:
        eye = taken_eye(encoder, sessions)
    bank = to_bank(sessions, eye, settings, settings.views, seed)
    bank.held_out = hold_out(bank, settings.held_out_share, seed)
    notes = [*sessions.notes, *_warnings(bank)]
    about = {
        "version": __version__,
        "commit": commit(),
        "sessions": [str(folder) for folder in sessions.folders],
        "tasks": sessions.tasks,
        "cameras": sessions.cameras,
        "encoder_from": str(encoder) if encoder else "contrast on these sessions",
        "seed": seed,
        "rule": RULE,
    }
    return _judge(_fit(settings, eye, bank, seed, progress, about), bank.held_out, notes)


def evaluate(path: Path, paths: list[Path]) -> Judged:
    """A classifier's file on other sessions, at its own threshold.

    Raises:
        RunError: the sessions' pictures are not those it was trained on.
    """
    classifier = success.load(path)
    sessions = open_sessions(paths)
    fits(classifier.eye, sessions, classifier.about, str(path))
    bank = to_bank(sessions, classifier.eye, classifier.settings, 1, 0)
    judged = _measure(classifier, bank, [*sessions.notes])
    known = set(classifier.bank.names) & set(bank.names)
    if known:
        note = f"{len(known)} of these episodes were in its training or chose its threshold"
        return replace(judged, notes=[*judged.notes, note])
    return judged


@dataclass(frozen=True)
class Mined:
    """What mining came to: false frames added, and before and after on episodes kept apart."""

    added: int
    before: Row
    after: Row
    judged: Judged


def mine(path: Path, paths: list[Path], seed: int, progress: Progress | None = None) -> Mined:
    """Add a classifier's false positives in half of the sessions' episodes, and train again.

    The other half says what that was worth, and then stands with the held-out episodes by which the
    threshold is chosen anew.

    Raises:
        RunError: other pictures, or nothing in these sessions that it is wrong about.
    """
    old = success.load(path)
    sessions = open_sessions(paths)
    fits(old.eye, sessions, old.about, str(path))
    s = old.settings
    new = to_bank(sessions, old.eye, s, s.views, seed)
    if set(old.bank.names) & set(new.names):
        raise RunError(
            f"{path}: has seen episodes of these sessions already; mine in sessions that are new"
        )
    apart = hold_out(new, 0.5, seed)
    scores = old.scores(new.latents[:, 0])
    hard = ~apart & (new.labels == 0) & (scores >= old.threshold * s.hysteresis)
    if not hard.any():
        raise RunError(
            f"{path}: claims no false frame in {len(new.names)} episodes of these sessions; "
            "there is nothing to mine"
        )
    hard_bank = new.where(hard)
    hard_bank.weights = np.full(len(hard_bank), s.hard_weight, np.float32)
    test = new.where(apart)
    test.held_out = np.ones(len(test), bool)
    bank = old.bank.joined(hard_bank).joined(test)
    mined = [*old.about.get("mined", []), *(str(folder) for folder in sessions.folders)]
    about = {**old.about, "mined": mined, "commit": commit(), "version": __version__}
    fresh = _fit(s, old.eye, bank, seed, progress, about)
    judged = _judge(fresh, bank.held_out, [*sessions.notes])
    return Mined(int(hard.sum()), _row(old, test), _row(judged.classifier, test), judged)


def contrast_eye(
    sessions: Sessions, settings: SuccessSettings, seed: int, progress: Progress | None
) -> Eye:
    """An eye trained by contrast alone on every picture of the sessions (``learn.pretrain``)."""
    from handful.learn.learner import Learner

    profile = load(AgentSettings, settings.encoder)
    spec = sessions.spec
    margin = profile.image_px - profile.encoder.input_px
    alone = {
        "encoder.input_px": spec.height_px - margin,
        "frame_stack": spec.frame_stack,
        "cameras": None,
        "pretrain.updates": settings.contrast_updates,
        "pretrain.clone_weight": 0.0,
        "pretrain.contrast_weight": 1.0,
        "clone.proposal": False,
        "clone.init_actor": False,
        "augment.cached_views": 1,
    }
    agent = load(AgentSettings, settings.encoder, alone)
    learner = Learner(agent, spec, seed=seed, device="cpu")
    for episode in sessions.episodes():
        learner.begin(episode.observation)
        for step in episode.transitions:
            learner.add(step)
    learner.pretrain(progress)
    return Eye.of(learner.agent, spec)


def taken_eye(path: Path, sessions: Sessions) -> Eye:
    """The eye of a checkpoint.

    Raises:
        RunError: it was made for other pictures.
    """
    _, file = find_checkpoint(path)
    learner, extra = load_learner(file, "cpu")
    eye = Eye.of(learner.agent, learner.spec)
    rig = (extra.get("recipe") or {}).get("rig") or {}
    fits(eye, sessions, {"cameras": rig.get("cameras")}, str(file))
    return eye


def _fit(
    settings: SuccessSettings,
    eye: Eye,
    bank: Bank,
    seed: int,
    progress: Progress | None,
    about: dict[str, Any],
) -> SuccessClassifier:
    try:
        return fit(settings, eye, bank, seed, progress, about)
    except NothingToLearn as error:
        raise RunError(str(error)) from None


def _judge(classifier: SuccessClassifier, held_out: Any, notes: list[str]) -> Judged:
    """Choose the threshold on the held-out frames and measure there."""
    bank = classifier.bank.where(held_out)
    s = classifier.settings
    scores = classifier.scores(bank.latents[:, 0])
    classifier.threshold = choose(sweep(bank, scores, s)).threshold
    judged = _measure(classifier, bank, notes)
    classifier.about["held_out"] = judged.chosen.to_dict()
    return judged


def _measure(classifier: SuccessClassifier, bank: Bank, notes: list[str]) -> Judged:
    s = classifier.settings
    scores = classifier.scores(bank.latents[:, 0])
    distances = classifier.distances(bank.latents[:, 0], bank.colours)
    alarms = 0
    for k in np.unique(bank.episodes):
        alarm = DriftAlarm(classifier.usual.limit, s.drift_window_steps, s.drift_share)
        alarms += any(alarm.add(float(d)) for d in distances[bank.episodes == k])
    return Judged(
        classifier,
        bank,
        scores,
        _row(classifier, bank),
        sweep(bank, scores, s),
        float((distances > classifier.usual.limit).mean()),
        alarms,
        notes,
    )


def _row(classifier: SuccessClassifier, bank: Bank) -> Row:
    scores = classifier.scores(bank.latents[:, 0])
    return at_threshold(bank, scores, classifier.threshold, classifier.settings)


def _warnings(bank: Bank) -> list[str]:
    won = sum(bank.wins)
    lost = len(bank.wins) - won
    notes = []
    if lost == 0:
        notes.append(
            "no failed episode is among these: nobody knows what it says of failures; record some"
        )
    if won < 8 or 0 < lost < 8:
        notes.append(
            f"{won} successful and {lost} failed episodes are few; the numbers below are coarse"
        )
    return notes


def write(judged: Judged, path: str | Path) -> None:
    """The numbers as one JSON object."""
    write_json(path, judged.to_dict())
