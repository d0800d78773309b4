"""What the tests of the gate share: weights without a learner, and a certificate that passes."""

import json
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from handful.rig import certificate as certificates
from handful.rig.certificate import Certificate, Claims, claims
from handful.rig.settings import RigSettings
from handful.rig.thresholds import Thresholds, load_thresholds

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=timezone.utc)
TASK = {"horizon_steps": 60, "hold_steps": 5, "tip_above_m": 0.14}
WEIGHTS = "ab" * 32


def here(rig: RigSettings | None = None, name: str = "lift", task: Any = None) -> Claims:
    """What a shipped cell with the task lift says of itself."""
    return claims(rig or RigSettings(), name, TASK if task is None else task)


def measured(name: str, **over: Any) -> dict[str, Any]:
    """One severity that nothing is wrong with."""
    good = {
        "name": name,
        "episodes": 100,
        "successes": 97,
        "success_low": 0.916,
        "violations": 0,
        "faults": 0,
        "held_share": 0.0,
        "max_measured_speed_m_s": 0.7,
        "stop_share": 0.02,
        "max_force_n": 12.0,
    }
    return {**good, **over}


def certify(
    path: Path,
    cell: Claims | None = None,
    weights: str = WEIGHTS,
    updates: int = 100,
    now: datetime = NOW,
    severities: list[dict[str, Any]] | None = None,
    demanded: Thresholds | None = None,
    **over: Any,
) -> Certificate:
    """Write one; everything it says can be chosen."""
    demanded = demanded or load_thresholds()
    if severities is None:
        severities = [measured(name) for name in demanded.success_low]
    values = certificates.compose(cell or here(), weights, updates, "abc1234", 30.0, now)
    values |= {
        "severities": severities,
        "thresholds": demanded.model_dump(mode="json"),
        "verdict": certificates.verdict(severities, demanded),
    }
    return certificates.write(path, {**values, **over})


def write_weights(path: Path, tensors: Mapping[str, bytes], **meta: Any) -> Path:
    """A safetensors file of one-dimensional uint8 tensors, with a learner's metadata."""
    own = {"settings": {"a": 1}, "spec": {"b": 2}, "updates": 7, **meta}
    header: dict[str, Any] = {
        "__metadata__": {"handful.format": "1", "handful.meta": json.dumps(own)}
    }
    begin = 0
    for name, content in tensors.items():
        end = begin + len(content)
        header[name] = {"dtype": "U8", "shape": [len(content)], "data_offsets": [begin, end]}
        begin = end
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + b"".join(tensors.values()))
    return path
