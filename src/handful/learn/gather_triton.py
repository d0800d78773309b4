"""The kernel of ``learn.gather_gpu``, in Triton's language; importing it needs Triton."""

# mypy: ignore-errors
import triton
import triton.language as tl


@triton.jit
def gather(
    frames,  # (S, cameras, height, width, 3) uint8
    slots,  # (B, STACK) int64
    offsets,  # (B, 2) int64
    out,  # (B, SIDE, SIDE, CHANNELS)
    camera,
    cameras,
    height,
    width,
    SIDE: tl.constexpr,
    STACK: tl.constexpr,
    CHANNELS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Program (b, block) writes ``BLOCK`` numbers of sample b."""
    sample = tl.program_id(0)
    at = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    channel, pixel = at % CHANNELS, at // CHANNELS
    x, y = pixel % SIDE, pixel // SIDE
    row = tl.load(offsets + 2 * sample).to(tl.int32) + y
    row = tl.minimum(tl.maximum(row, 0), height - 1)
    column = tl.load(offsets + 2 * sample + 1).to(tl.int32) + x
    column = tl.minimum(tl.maximum(column, 0), width - 1)
    inside = at < SIDE * SIDE * CHANNELS
    seen = inside & (channel < 3 * STACK)
    slot = tl.load(slots + sample * STACK + channel // 3, mask=seen, other=0)
    picture = (slot * cameras + camera) * (height * width * 3)  # past 32 bits in a large replay
    within = (row * width + column) * 3 + channel % 3
    value = tl.load(frames + picture + within, mask=seen, other=0).to(tl.float32)
    target = sample.to(tl.int64) * (SIDE * SIDE * CHANNELS) + at
    tl.store(out + target, value.to(out.dtype.element_ty), mask=inside)
