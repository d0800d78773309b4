"""Every number of a success classifier; ``config/success.yaml`` is the manual."""

from pydantic import Field

from handful.config import Settings


class SuccessSettings(Settings):
    """Labels, heads, threshold and alarm of a success classifier. Steps are ticks of control."""

    positive_steps: int = Field(5, ge=1)
    dead_steps: int = Field(2, ge=0)
    hold_steps: int = Field(5, ge=1)
    hysteresis: float = Field(0.5, gt=0.0, le=1.0)
    held_out_share: float = Field(0.25, gt=0.0, lt=1.0)
    encoder: str = Field("agent/frozen", min_length=1)
    contrast_updates: int = Field(600, ge=1)
    heads: int = Field(3, ge=1, le=20)
    hidden_dim: int = Field(64, ge=1)
    dropout: float = Field(0.1, ge=0.0, lt=1.0)
    updates: int = Field(1000, ge=1)
    batch_size: int = Field(128, ge=2)
    lr: float = Field(1.0e-3, gt=0.0)
    weight_decay: float = Field(1.0e-3, ge=0.0)
    smoothing: float = Field(0.02, ge=0.0, lt=0.5)
    views: int = Field(8, ge=1)
    hard_weight: float = Field(5.0, ge=1.0)
    drift_window_steps: int = Field(30, ge=1)
    drift_quantile: float = Field(0.95, gt=0.0, lt=1.0)
    drift_margin: float = Field(2.0, ge=1.0)
    drift_share: float = Field(0.5, gt=0.0, lt=1.0)
