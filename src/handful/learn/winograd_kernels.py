"""Winograd's convolution at the speed of the vector units, without a compiler at install time.

A picture is done row of tiles by row of tiles, so that all between input and output stays in the
caches; bias, ReLU and their gradients cost no pass over memory of their own. Numba runs the loops.
What is innermost is written in LLVM's own terms: numba's code for it takes twice the time, for it
must first prove at run time that a dozen rows do not overlap.

Kernels release the interpreter lock, keep no state and work on a range of pictures, so threads can
share a batch. Addresses are integers and count bytes; strides count floats.
"""

from typing import Any

import numpy as np
import torch
from llvmlite import ir  # type: ignore[import-untyped]
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

TILE, LIFTED = 4, 6  # outputs of a tile along each axis, and numbers it is lifted to

# Lavin and Gray's matrices B' and A'; G, which lifts a kernel, is in ``learn.winograd``.
LIFT_INPUT = (
    (4, 0, -5, 0, 1, 0),
    (0, -4, -4, 1, 1, 0),
    (0, 4, -4, -1, 1, 0),
    (0, -2, -1, 2, 1, 0),
    (0, 2, -1, -2, 1, 0),
    (0, 4, 0, -5, 0, 1),
)
DROP_OUTPUT = ((1, 1, 1, 1, 1, 0), (0, 1, -1, 2, -2, 0), (0, 1, 1, 4, 4, 0), (0, 1, -1, 8, -8, 1))

# A block of a product stays in registers while it is summed: of five or six tiles, or of some input
# channels, by two vectors of output channels.
CAPABILITY = torch.backends.cpu.get_cpu_capability()
_LANES = 16 if CAPABILITY == "AVX512" else 8
_BLOCK = 2 * _LANES
_INPUTS = 8 if CAPABILITY == "AVX512" else 4


def _mixer(matrix: tuple[tuple[float, ...], ...], relu: bool = False) -> Any:
    """Emit to[i, :] = sum_k matrix[i][k] x of[k, :] over rows of ``width`` floats.

    With ``relu``, ``bias`` (width,) is added and what is negative becomes 0.
    """
    flags = ("contract", "reassoc", "nsz")  # let sums become fused multiply-adds

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        of, of_stride, to, to_stride, width, bias = arguments
        vector, index = ir.VectorType(ir.FloatType(), _LANES), ir.IntType(64)
        of, to, bias = (_floats(builder, address) for address in (of, to, bias))

        def constant(value: float) -> Any:
            return ir.Constant(vector, [float(value)] * _LANES)

        lanes = index(_LANES)
        with cgutils.for_range_slice(builder, index(0), width, lanes, inc=True) as (at, _):
            rows = [
                _load(builder, of, builder.add(at, builder.mul(index(k), of_stride)))
                for k in range(len(matrix[0]))
            ]
            for i, factors in enumerate(matrix):
                total = _load(builder, bias, at) if relu else constant(0)
                for factor, row in zip(factors, rows, strict=True):
                    if factor:
                        term = builder.fmul(row, constant(factor), flags=flags)
                        total = builder.fadd(total, term, flags=flags)
                if relu:
                    alive = builder.fcmp_unordered(">=", total, constant(0))  # NaN stays NaN
                    total = builder.select(alive, total, constant(0))
                _store(builder, total, to, builder.add(at, builder.mul(index(i), to_stride)))
        return context.get_dummy_value()

    @intrinsic
    def mix(typing, of, of_stride, to, to_stride, width, bias):  # type: ignore[no-untyped-def]
        return types.void(*[types.intp] * 6), generate

    return mix


def _multiplier(rows: int, accumulate: bool) -> Any:
    """Emit a block c[:rows, :_BLOCK] = (or +=) sum_k a[row, k] b[k, :_BLOCK] held in registers."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        a, a_row, a_step, b, b_step, c, c_row, count = arguments
        vector, index = ir.VectorType(ir.FloatType(), _LANES), ir.IntType(64)
        a, b, c = (_floats(builder, address) for address in (a, b, c))
        halves = [index(0), index(_LANES)]
        fused = ir.FunctionType(vector, [vector] * 3)
        fma = cgutils.get_or_insert_function(builder.module, fused, f"llvm.fma.v{_LANES}f32")
        places = [
            builder.add(builder.mul(index(row), c_row), half)
            for row in range(rows)
            for half in halves
        ]
        zero = ir.Constant(vector, [0.0] * _LANES)
        sums = [_load(builder, c, place) if accumulate else zero for place in places]

        before = builder.block
        loop, done = builder.append_basic_block("sum"), builder.append_basic_block("done")
        builder.branch(loop)
        builder.position_at_end(loop)
        k = builder.phi(index)
        k.add_incoming(index(0), before)
        blocks = [builder.phi(vector) for _ in places]
        for block, start in zip(blocks, sums, strict=True):
            block.add_incoming(start, before)
        across = builder.mul(k, b_step)
        right = [_load(builder, b, builder.add(across, half)) for half in halves]
        after = []
        for row in range(rows):
            place = builder.add(builder.mul(index(row), a_row), builder.mul(k, a_step))
            left = _spread(builder, a, place)
            for half in range(2):
                after.append(builder.call(fma, [left, right[half], blocks[2 * row + half]]))
        following = builder.add(k, index(1))
        k.add_incoming(following, loop)
        for block, value in zip(blocks, after, strict=True):
            block.add_incoming(value, loop)
        builder.cbranch(builder.icmp_signed("<", following, count), loop, done)
        builder.position_at_end(done)
        for place, value in zip(places, after, strict=True):
            _store(builder, value, c, place)
        return context.get_dummy_value()

    @intrinsic
    def multiply(typing, a, a_row, a_step, b, b_step, c, c_row, count):  # type: ignore[no-untyped-def]
        return types.void(*[types.intp] * 8), generate

    return multiply


def _floats(builder: Any, address: Any) -> Any:
    return builder.inttoptr(address, ir.FloatType().as_pointer())


def _vectors(builder: Any, floats: Any, at: Any) -> Any:
    vector = ir.VectorType(ir.FloatType(), _LANES)
    return builder.bitcast(builder.gep(floats, [at]), vector.as_pointer())


def _load(builder: Any, floats: Any, at: Any) -> Any:
    return builder.load(_vectors(builder, floats, at), align=4)


def _store(builder: Any, value: Any, floats: Any, at: Any) -> None:
    builder.store(value, _vectors(builder, floats, at), align=4)


def _spread(builder: Any, floats: Any, at: Any) -> Any:
    """One float in every lane."""
    number = ir.IntType(32)
    empty = ir.Constant(ir.VectorType(ir.FloatType(), _LANES), ir.Undefined)
    one = builder.insert_element(empty, builder.load(builder.gep(floats, [at])), number(0))
    everywhere = ir.Constant(ir.VectorType(number, _LANES), [0] * _LANES)
    return builder.shuffle_vector(one, empty, everywhere)


_lift_input = _mixer(LIFT_INPUT)
_drop_output = _mixer(DROP_OUTPUT)
_drop_relu = _mixer(DROP_OUTPUT, relu=True)
_lift_output = _mixer(tuple(zip(*DROP_OUTPUT, strict=True)))
_multiply_five = _multiplier(5, accumulate=False)
_multiply_six = _multiplier(6, accumulate=False)
_multiply_channels = _multiplier(_INPUTS, accumulate=True)


@njit(nogil=True, cache=True)
def _lift_row(at, row_stride, width, starts, channels, columns, lifted):  # type: ignore[no-untyped-def]
    """One row of input tiles into ``lifted`` (6, 6, tiles, C); ``columns`` is scratch."""
    line, plane = columns.shape[1], lifted.shape[2] * channels
    _lift_input(at, row_stride, columns.ctypes.data, line, width * channels, 0)
    for i in range(LIFTED):
        for tile in range(len(starts)):
            of = columns.ctypes.data + 4 * (i * line + starts[tile] * channels)
            to = lifted.ctypes.data + 4 * (LIFTED * i * plane + tile * channels)
            _lift_input(of, channels, to, plane, channels, 0)


@njit(nogil=True, cache=True)
def _starts(size):  # type: ignore[no-untyped-def]
    """Where tiles begin along an axis of ``size`` outputs; the last one reaches back."""
    return np.minimum(TILE * np.arange((size + TILE - 1) // TILE), size - TILE)


@njit(nogil=True, cache=True)
def _scratch(width, outputs, inputs, products):  # type: ignore[no-untyped-def]
    """Buffers of one row of tiles, with room for what the last block of five has too many."""
    tiles = len(_starts(outputs)) + 4
    return (
        np.empty((LIFTED, width * inputs), np.float32),
        np.zeros((LIFTED, LIFTED, tiles, inputs), np.float32),
        np.empty((LIFTED, LIFTED, tiles, products), np.float32),
        np.empty((TILE, LIFTED, tiles, products), np.float32),
    )


@njit(nogil=True, cache=True)
def _convolve_one(source, width, kernel, bias, target, height_out, width_out, scratch):  # type: ignore[no-untyped-def]
    """One picture at address ``source`` to one at ``target``; ``bias`` 0: neither bias nor ReLU."""
    inputs, outputs = kernel.shape[2], kernel.shape[3]
    columns, lifted, products, half = scratch
    tiles, across = lifted.shape[2], _starts(width_out)
    plane = tiles * outputs
    for y in _starts(height_out):
        at = source + 4 * y * width * inputs
        _lift_row(at, width * inputs, width, across, inputs, columns, lifted)
        for f in range(LIFTED * LIFTED):
            tile = 0
            while tile < len(across):
                six = (len(across) - tile) % 6 == 0  # 9, 10, 11 tiles: 5 + 5, 5 + 5, 5 + 6
                for d in range(0, outputs, _BLOCK):
                    a = lifted.ctypes.data + 4 * (f * tiles + tile) * inputs
                    b = kernel.ctypes.data + 4 * (f * inputs * outputs + d)
                    c = products.ctypes.data + 4 * (f * plane + tile * outputs + d)
                    if six:
                        _multiply_six(a, inputs, 1, b, outputs, c, outputs, inputs)
                    else:
                        _multiply_five(a, inputs, 1, b, outputs, c, outputs, inputs)
                tile += 6 if six else 5
        for j in range(LIFTED):
            of = products.ctypes.data + 4 * j * plane
            to = half.ctypes.data + 4 * j * plane
            _drop_output(of, LIFTED * plane, to, LIFTED * plane, len(across) * outputs, 0)
        for i in range(TILE):
            for tile in range(len(across)):
                of = half.ctypes.data + 4 * (LIFTED * i * plane + tile * outputs)
                to = target + 4 * ((y + i) * width_out + across[tile]) * outputs
                if bias:
                    _drop_relu(of, plane, to, outputs, outputs, bias)
                else:
                    _drop_output(of, plane, to, outputs, outputs, 0)


@njit(nogil=True, cache=True)
def convolve(source, kernel, bias, target, first, past):  # type: ignore[no-untyped-def]
    """relu(convolution + bias) of pictures ``first`` to ``past``."""
    width, (height_out, width_out) = source.shape[2], target.shape[1:3]
    scratch = _scratch(width, width_out, kernel.shape[2], kernel.shape[3])
    for b in range(first, past):
        to, offset = target[b].ctypes.data, bias.ctypes.data
        _convolve_one(
            source[b].ctypes.data, width, kernel, offset, to, height_out, width_out, scratch
        )


@njit(nogil=True, cache=True)
def backward(source, after, above, turned, to_input, to_kernel, to_bias, first, past):  # type: ignore[no-untyped-def]
    """From ``above``, the gradient of ``after`` = relu(...), to those of input, kernel and bias."""
    _, height, width, inputs = source.shape
    _, rows, line, outputs = above.shape
    gradient = np.zeros((rows + 4, line + 4, outputs), np.float32)  # padded, where ReLU was alive
    sums = np.zeros((line, outputs), np.float32)
    onward = _scratch(line + 4, width, outputs, inputs)
    columns, lifted, _, _ = _scratch(width, line, inputs, 0)
    lines = np.empty((LIFTED, line, outputs), np.float32)
    across = _starts(line)
    errors = np.empty((LIFTED, LIFTED, len(across), outputs), np.float32)
    plane = len(across) * outputs
    for b in range(first, past):
        for y in range(rows):
            alive, given = after[b, y].reshape(-1), above[b, y].reshape(-1)
            kept, total = gradient[y + 2, 2:-2].reshape(-1), sums.reshape(-1)
            for i in range(len(kept)):
                value = given[i] if alive[i] > 0 else np.float32(0)
                kept[i] = value
                total[i] += value
        if len(to_input):
            to = to_input[b].ctypes.data
            _convolve_one(gradient.ctypes.data, line + 4, turned, 0, to, height, width, onward)
        for row, y in enumerate(_starts(rows)):
            # What a tile that reaches back shares with the one before has been counted already.
            gradient[y + 2 : TILE * row + 2] = 0
            stride = (line + 4) * outputs
            _lift_output(
                gradient[y + 2, 2:].ctypes.data,
                stride,
                lines.ctypes.data,
                line * outputs,
                line * outputs,
                0,
            )
            for i in range(LIFTED):
                for tile in range(len(across)):
                    if tile:
                        lines[i, across[tile] : TILE * tile] = 0
                    of = lines[i, across[tile] :].ctypes.data
                    to = errors[i, 0, tile].ctypes.data
                    _lift_output(of, outputs, to, plane, outputs, 0)
            _lift_row(
                source[b, y].ctypes.data, width * inputs, width, across, inputs, columns, lifted
            )
            for f in range(LIFTED * LIFTED):
                for c in range(0, inputs, _INPUTS):
                    for d in range(0, outputs, _BLOCK):
                        of = lifted.ctypes.data + 4 * (f * lifted.shape[2] * inputs + c)
                        by = errors.ctypes.data + 4 * (f * plane + d)
                        to = to_kernel.ctypes.data + 4 * ((f * inputs + c) * outputs + d)
                        _multiply_channels(of, 1, inputs, by, outputs, to, outputs, len(across))
    to_bias += sums.sum(0)
