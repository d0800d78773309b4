"""Does this picture show success? A frozen eye, a few small heads, and all they were trained on.

One file holds the eye, the heads, the features of every frame they learned from (so that more can
be added later without the recordings) and what is usual for the drift alarm. The score is the least
convinced head's probability: a policy that is rewarded by it has to fool them all.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from handful.config import build
from handful.contract import Observation, Spec
from handful.learn import checkpoint
from handful.learn.checkpoint import CheckpointError
from handful.learn.settings import AgentSettings
from handful.learn.success_drift import Usual
from handful.learn.success_eye import Eye, colours
from handful.learn.success_settings import SuccessSettings

KIND = "success classifier"
Floats = NDArray[np.float32]
AnyFloats = NDArray[np.floating[Any]]


class Head(nn.Module):
    """Standardised latents (B, Z) to logits (B,)."""

    def __init__(self, dim: int, hidden_dim: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(dim, hidden_dim),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden_dim, hidden_dim),
            nn.ReLU(),
            nn.Linear(hidden_dim, 1),
        )

    def forward(self, latents: Tensor) -> Tensor:
        """Logits (B,)."""
        return self.layers(latents).squeeze(-1)


@dataclass
class Bank:
    """Every labelled frame as the eye sees it.

    latents: (N, V, Z) float16, V shifted views, the acting one first. colours: (N, C). labels: (N,)
    int8, 1 success, 0 none, -1 nobody can say. episodes: (N,) which of ``names`` it is of.
    held_out: (N,) bool, never learned from. weights: (N,) float32, how often a frame is drawn among
    those of its label; above 1 for what was mined. wins: of each episode, whether it ended well.
    """

    latents: NDArray[np.float16]
    colours: Floats
    labels: NDArray[np.int8]
    episodes: NDArray[np.int32]
    held_out: NDArray[np.bool_]
    weights: Floats
    names: list[str] = field(default_factory=list)
    wins: list[bool] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.labels)

    def joined(self, other: "Bank") -> "Bank":
        """This one's frames and another's behind them."""
        return Bank(
            np.concatenate([self.latents, other.latents]),
            np.concatenate([self.colours, other.colours]),
            np.concatenate([self.labels, other.labels]),
            np.concatenate([self.episodes, other.episodes + np.int32(len(self.names))]),
            np.concatenate([self.held_out, other.held_out]),
            np.concatenate([self.weights, other.weights]),
            [*self.names, *other.names],
            [*self.wins, *other.wins],
        )

    def where(self, keep: NDArray[np.bool_]) -> "Bank":
        """Only the frames (N,) bool; the episodes keep their numbers."""
        return replace(
            self,
            latents=self.latents[keep],
            colours=self.colours[keep],
            labels=self.labels[keep],
            episodes=self.episodes[keep],
            held_out=self.held_out[keep],
            weights=self.weights[keep],
        )


class SuccessClassifier:
    """Scores observations; made by ``learn.success_fit.fit`` or read from a file.

    Attributes:
        threshold: a score from here on claims success. about: JSON-ready facts that travel along.
    """

    def __init__(
        self, settings: SuccessSettings, eye: Eye, heads: list[Head], mean: Floats, scale: Floats,
        usual: Usual, bank: Bank, threshold: float = 0.5, about: dict[str, Any] | None = None,
    ) -> None:  # fmt: skip
        self.settings, self.eye, self.bank = settings, eye, bank
        self.heads = nn.ModuleList(heads).eval()
        self.mean, self.scale, self.usual = mean, scale, usual
        self.threshold, self.about = float(threshold), dict(about or {})

    def scores(self, latents: AnyFloats) -> Floats:
        """Probability of success (N,) of latents (N, Z): the least convinced head's."""
        x = torch.from_numpy((latents.astype(np.float32) - self.mean) / self.scale)
        with torch.inference_mode():
            logits = torch.stack([head(x) for head in self.heads])
        return torch.sigmoid(logits.min(dim=0).values).numpy()

    def distances(self, latents: AnyFloats, colour: Floats) -> Floats:
        """How unusual (N,) frames are, by latents (N, Z) and colours (N, C)."""
        return self.usual.distance(drift_vector(latents, colour))

    def look(self, observation: Observation) -> tuple[float, float]:
        """Score in [0, 1] and distance from the usual of one observation."""
        pictures = {
            name: np.ascontiguousarray(observation.images[name])[None]
            for name in self.eye.spec.cameras
        }
        latents = self.eye.see(pictures).numpy()
        distance = self.distances(latents, colours(pictures))
        return float(self.scores(latents)[0]), float(distance[0])

    def save(self, path: str | Path) -> None:
        """Everything to one safetensors file, whole or not at all.

        Raises:
            CheckpointError: the disk refuses.
        """
        bank = self.bank
        tensors = checkpoint.flatten_module("eye", self.eye)
        tensors |= checkpoint.flatten_module("heads", self.heads)
        arrays = {
            "mean": self.mean, "scale": self.scale,
            "usual.mean": self.usual.mean, "usual.whiten": self.usual.whiten,
            "bank.latents": bank.latents, "bank.colours": bank.colours,
            "bank.labels": bank.labels, "bank.episodes": bank.episodes,
            "bank.held_out": bank.held_out, "bank.weights": bank.weights,
        }  # fmt: skip
        tensors |= {name: torch.from_numpy(np.ascontiguousarray(a)) for name, a in arrays.items()}
        meta = {
            "kind": KIND,
            "settings": self.settings.model_dump(mode="json"),
            "agent": self.eye.settings.model_dump(mode="json"),
            "spec": self.eye.spec.to_dict(),
            "encoder": self.eye.digest(),
            "threshold": self.threshold,
            "drift_limit": self.usual.limit,
            "episodes": bank.names,
            "wins": bank.wins,
            "about": self.about,
        }
        checkpoint.save(path, tensors, meta)


def drift_vector(latents: AnyFloats, colour: Floats) -> Floats:
    """What drift is measured on: (N, Z + C), colours scaled to about a latent's size."""
    return np.concatenate([latents.astype(np.float32), colour * np.float32(0.04)], axis=1)


def load(path: str | Path) -> SuccessClassifier:
    """What ``SuccessClassifier.save`` wrote.

    Raises:
        CheckpointError: no such file, not whole, no classifier, or its eye is not the one its heads
            were trained on.
    """
    tensors, meta = checkpoint.load(path)
    if meta.get("kind") != KIND:
        raise CheckpointError(
            f"{path}: holds no success classifier; `handful reward train` makes one"
        )
    settings = build(SuccessSettings, dict(meta["settings"]), f"{path}: settings")
    agent = build(AgentSettings, dict(meta["agent"]), f"{path}: agent")
    eye = Eye(agent, Spec.from_dict(meta["spec"]))
    heads = [Head(eye.dim, settings.hidden_dim, 0.0) for _ in range(settings.heads)]
    try:
        checkpoint.restore_module("eye", eye, tensors)
        checkpoint.restore_module("heads", nn.ModuleList(heads), tensors)
        array = {name: tensor.numpy() for name, tensor in tensors.items()}
        if eye.digest() != meta["encoder"]:
            raise CheckpointError("its encoder is not the one its heads were trained on")
        bank = Bank(
            array["bank.latents"], array["bank.colours"], array["bank.labels"],
            array["bank.episodes"], array["bank.held_out"], array["bank.weights"],
            list(meta["episodes"]), list(meta["wins"]),
        )  # fmt: skip
        usual = Usual(array["usual.mean"], array["usual.whiten"], float(meta["drift_limit"]))
        return SuccessClassifier(
            settings, eye, heads, array["mean"], array["scale"], usual, bank,
            float(meta["threshold"]), dict(meta["about"]),
        )  # fmt: skip
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}; train it again") from None
    except KeyError as error:
        raise CheckpointError(f"{path}: {error} is missing; train it again") from None
