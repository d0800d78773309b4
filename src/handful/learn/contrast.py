"""CURL's question: which of these views show the same moment? Bilinear InfoNCE with a slow key."""

import torch
from torch import Tensor, nn


class Bilinear(nn.Module):
    """CURL's similarity q W k^T (Laskin et al. 2020, section 4.4): two (B, Z) to (B, B) logits.

    W starts uniform on [0, 1) as in the official code; its constant part meets a LayerNormed latent
    whose entries sum to zero, so it cancels.
    """

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.rand(latent_dim, latent_dim))

    def forward(self, query: Tensor, key: Tensor) -> Tensor:
        """Row i holds the similarities of query i to every key; the row's maximum is taken off."""
        logits = query @ self.weight @ key.T
        return logits - logits.max(dim=1, keepdim=True).values


def info_nce(logits: Tensor) -> Tensor:
    """Cross-entropy of each row against its own index: the mean over B, near ln B when blind."""
    return nn.functional.cross_entropy(logits, torch.arange(len(logits), device=logits.device))


@torch.no_grad()
def hit_rate(logits: Tensor) -> Tensor:
    """Share of rows whose largest logit is their own: 1/B when blind, 1 when all moments differ."""
    own = torch.arange(len(logits), device=logits.device)
    return (logits.argmax(1) == own).float().mean()
