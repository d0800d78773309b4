"""Where and how an update is computed: precision, recorded programs, the replay's second home.

``compute`` of a profile says what is wanted, the machine what there is; ``decide`` brings the two
together once, before the first step, or refuses in one sentence.
"""

import logging
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch

from handful.learn.memory import available_bytes
from handful.learn.settings import ComputeSettings

log = logging.getLogger(__name__)

_AMPERE = (8, 0)  # the first compute capability with TF32 and bfloat16 tensor cores
_SHARE = 0.7  # of a device's free memory that a replay may take; the rest is for the update


@dataclass(frozen=True)
class Computing:
    """What was decided.

    precision: ``fp32``, ``tf32`` or ``bf16``. graphs: whether updates are recorded and replayed.
    replay_on_device: whether a copy of the experience lives on the device, and batches are
    gathered there. transfers: whether batches go through page-locked memory (``learn.shuttle``).
    """

    precision: str
    graphs: bool
    replay_on_device: bool
    transfers: bool

    @property
    def program(self) -> bool:
        """Whether updates run as a program of static inputs; else as they are written."""
        return self.graphs or self.replay_on_device or self.transfers


def decide(
    settings: ComputeSettings, device: torch.device, replay_bytes: int, batch_bytes: int
) -> Computing:
    """What this device does of ``settings``; sets torch's precision where it has to.

    Args:
        device: where the networks live. replay_bytes: what the device's copy of the experience
            takes when it is full. batch_bytes: what each update transfers without one.
    Raises:
        ValueError: something that was asked for in so many words does not work here.
    """
    on_gpu = device.type == "cuda"
    precision = _precision(settings.precision, device)
    if settings.graphs == "always" and not on_gpu:
        raise ValueError(
            f"compute.graphs: always needs an NVIDIA GPU, the device is {device}; leave it at auto"
        )
    resident = settings.replay_on == "device" or (on_gpu and settings.replay_on == "auto")
    if resident:
        resident = _fits(settings, device, replay_bytes, batch_bytes)
    if on_gpu:
        set_precision(precision)
        torch.backends.cudnn.benchmark = True  # the shapes never change
    return Computing(precision, on_gpu and settings.graphs != "never", resident, on_gpu)


def convolve_in(precision: str, device: torch.device) -> AbstractContextManager[object]:
    """The context of the eye's convolutions in learning: autocast where ``bf16`` is asked for."""
    if precision != "bf16":
        return nullcontext()
    return torch.autocast(device.type, torch.bfloat16, cache_enabled=False)


def _precision(wanted: str, device: torch.device) -> str:
    able = device.type == "cuda" and torch.cuda.get_device_capability(device) >= _AMPERE
    if wanted == "auto":
        return "tf32" if able else "fp32"
    if wanted == "tf32" and not able:
        raise ValueError(
            f"compute.precision: tf32 needs an NVIDIA GPU of compute capability 8.0 or newer, "
            f"the device is {_name(device)}; leave it at auto"
        )
    if wanted == "bf16" and not able:
        if device.type == "cuda":
            raise ValueError(
                "compute.precision: bf16 needs an NVIDIA GPU of compute capability 8.0 or newer, "
                f"the device is {_name(device)}; leave it at auto"
            )
        if not _cpu_has_bf16():
            log.warning(
                "compute.precision: bf16 on a CPU without instructions for it (AVX512-BF16 or AMX) "
                "makes convolutions several times slower; fp32 is meant for it"
            )
    return wanted


def _cpu_has_bf16() -> bool:
    """Whether this processor multiplies bfloat16 itself; torch tells under private names."""
    names = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, name, lambda: False)() for name in names)


def _fits(
    settings: ComputeSettings, device: torch.device, replay_bytes: int, batch_bytes: int
) -> bool:
    free = _free_bytes(device)
    need = f"{replay_bytes / 1e9:.2f} GB"
    if free is None or replay_bytes <= _SHARE * free:
        room = "" if free is None else f" ({free / 1e9:.1f} GB free)"
        log.info("replay: a copy of %s on %s%s; batches are gathered there", need, device, room)
        return True
    if settings.replay_on == "device":
        raise ValueError(
            f"compute.replay_on: device needs {need} on {_name(device)}, {free / 1e9:.2f} GB are "
            f"free of which {_SHARE:.0%} may be used; lower replay.capacity, or leave it at auto"
        )
    log.info(
        "replay: %s do not fit into the %.2f GB free on %s (%.0f %% of it may be used); they stay "
        "in the host's memory, and every update transfers %.1f MB",
        need,
        free / 1e9,
        device,
        100 * _SHARE,
        batch_bytes / 1e6,
    )
    return False


def _free_bytes(device: torch.device) -> int | None:
    if device.type != "cuda":
        return available_bytes()
    free: int = torch.cuda.mem_get_info(device)[0]
    return free


def set_precision(precision: str) -> None:
    """TF32 for both matrix products and convolutions, or for neither (torch's default is mixed)."""
    kind = "ieee" if precision == "fp32" else "tf32"
    if hasattr(torch.backends.cudnn, "conv"):  # torch 2.9 and newer
        torch.backends.cuda.matmul.fp32_precision = kind
        torch.backends.cudnn.conv.fp32_precision = kind
    else:
        torch.backends.cuda.matmul.allow_tf32 = kind == "tf32"
        torch.backends.cudnn.allow_tf32 = kind == "tf32"


def _name(device: torch.device) -> str:
    if device.type != "cuda":
        return str(device)
    major, minor = torch.cuda.get_device_capability(device)
    return f"{torch.cuda.get_device_name(device)} ({major}.{minor})"
