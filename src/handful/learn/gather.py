"""Pictures out of the replay store: stack, crop or shift, and interleave in one pass over memory.

Indexing three shifted stacks out of a frames-once store with array fancy-indexing costs several
full copies; this kernel writes every output byte once. It releases the interpreter lock.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray


def gather_pictures(
    frames: NDArray[np.uint8],
    slots: NDArray[np.int64],
    offsets_px: NDArray[np.int64],
    out: NDArray[np.uint8],
    cameras: tuple[int, int] | None = None,
) -> None:
    """Fill ``out`` with augmented frame stacks.

    One rule serves both augmentations: output pixel (y, x) of sample b is source pixel
    (y + offsets_px[b, 0], x + offsets_px[b, 1]) with both coordinates clamped to the picture. Offsets
    in 0..H-h are a random crop (RAD, arXiv:2004.14990; CURL, arXiv:2004.04136); offsets in
    -pad..pad at h == H are the edge-replicating random shift (DrQ, arXiv:2004.13649). All frames of
    a stack, of all cameras, share their sample's offset.

    Args:
        frames: (S, C, H, W, 3) uint8, one newest frame a slot and camera, C-contiguous.
        slots: (B, K) int64, the stack of each sample, oldest first.
        offsets_px: (B, 2) int64, row and column.
        out: (B, h, w, 3*K*n) uint8, C-contiguous; camera by camera, and within one the newest last.
        cameras: first and past-the-last camera, all by default.
    Raises:
        ValueError: shapes that do not belong together, or a slot outside the store.
    """
    first, past = cameras if cameras is not None else (0, frames.shape[1])
    channels = 3 * slots.shape[1] * (past - first)
    if out.ndim != 4 or out.shape[0] != len(slots) or out.shape[3] != channels:
        raise ValueError(
            f"out: shape {out.shape} does not take {len(slots)} samples of {channels} channels; "
            f"expected ({len(slots)}, h, w, {channels})"
        )
    if offsets_px.shape != (len(slots), 2):
        raise ValueError(f"offsets_px: shape {offsets_px.shape}, expected ({len(slots)}, 2)")
    if len(slots) and not 0 <= slots.min() <= slots.max() < len(frames):
        raise ValueError(
            f"slots: {slots.min()}..{slots.max()}, expected indices in 0..{len(frames) - 1}"
        )
    _gather(frames, slots, offsets_px, out, first, past)


@njit(nogil=True, cache=True)
def _gather(frames, slots, offsets_px, out, first, past):  # type: ignore[no-untyped-def]
    height, width = frames.shape[2], frames.shape[3]
    rows, columns = out.shape[1], out.shape[2]
    stack = slots.shape[1]
    for b in range(len(slots)):
        dy, dx = offsets_px[b, 0], offsets_px[b, 1]
        left = min(max(-dx, 0), columns)
        right = max(min(width - dx, columns), left)
        for camera in range(first, past):
            for k in range(stack):
                to = 3 * ((camera - first) * stack + k)
                for y in range(rows):
                    source = frames[slots[b, k], camera, min(max(y + dy, 0), height - 1)]
                    for x in range(left):
                        for c in range(3):
                            out[b, y, x, to + c] = source[0, c]
                    for x in range(left, right):
                        for c in range(3):
                            out[b, y, x, to + c] = source[x + dx, c]
                    for x in range(right, columns):
                        for c in range(3):
                            out[b, y, x, to + c] = source[width - 1, c]
