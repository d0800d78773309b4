"""The kernel of ``learn.gather_gpu``, in Triton's language; importing it needs Triton."""

# mypy: ignore-errors
import triton
import triton.language as tl


@triton.jit
def gather(
    frames,  # (S, cameras, height, width, 3) uint8
    slots,  # (B, STACK) int64
    offsets,  # (B, 2) int64
    out,  # (B, side, side, CHANNELS)
    camera,
    cameras,
    height,
    width,
    side,
    STACK: tl.constexpr,
    CHANNELS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Program (b * side + y, block) writes ``BLOCK`` numbers of row y of sample b."""
    line = tl.program_id(0)
    sample, y = line // side, line % side
    at = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    x, channel = at // CHANNELS, at % CHANNELS
    row = tl.load(offsets + 2 * sample) + y
    row = tl.minimum(tl.maximum(row, 0), height - 1)
    column = tl.load(offsets + 2 * sample + 1) + x
    column = tl.minimum(tl.maximum(column, 0), width - 1)
    inside = at < side * CHANNELS
    seen = inside & (channel < 3 * STACK)
    slot = tl.load(slots + sample * STACK + channel // 3, mask=seen, other=0)
    source = (((slot * cameras + camera) * height + row) * width + column) * 3 + channel % 3
    value = tl.load(frames + source, mask=seen, other=0).to(tl.float32)
    target = line.to(tl.int64) * side * CHANNELS + at
    tl.store(out + target, value.to(out.dtype.element_ty), mask=inside)
