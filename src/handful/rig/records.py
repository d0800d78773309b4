"""The bytes of the episode log: framed records that say where a broken file stops being true.

A record is ``magic u32 | length u32 | crc32 u32 | payload`` (little endian); the checksum covers
the payload. The payload is safetensors bytes, with everything that is not an array as JSON in the
metadata. Nothing in it is ever unpickled.
"""

import json
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

Arrays = dict[str, NDArray[Any]]

MAGIC = 0x4C464448  # "HDFL" on disk
HEAD = struct.Struct("<III")
_KEY = "handful"


@dataclass(frozen=True)
class Broken:
    """Where reading had to stop: the byte the record begins at, and what is wrong with it."""

    offset: int
    reason: str


def pack(arrays: Arrays, values: dict[str, Any]) -> bytes:
    """One framed record. Raises ``TypeError`` when a value is not JSON (NumPy scalars are fine)."""
    metadata = {_KEY: json.dumps(values, default=_plain)}
    solid = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    payload = save(solid, metadata)
    return HEAD.pack(MAGIC, len(payload), zlib.crc32(payload)) + payload


def unpack(data: bytes) -> Iterator[tuple[Arrays, dict[str, Any]] | Broken]:
    """The whole records of ``data`` in order; the first that is not whole ends it as ``Broken``."""
    for _, record in scan(data):
        yield record


def scan(data: bytes, at: int = 0) -> Iterator[tuple[int, tuple[Arrays, dict[str, Any]] | Broken]]:
    """As ``unpack``, from byte ``at`` on, each with the byte it begins at."""
    while at < len(data):
        if len(data) - at < HEAD.size:
            yield at, Broken(at, f"{len(data) - at} bytes are too few for a record head")
            return
        magic, length, checksum = HEAD.unpack_from(data, at)
        if magic != MAGIC:
            yield at, Broken(at, f"expected the record mark {MAGIC:#010x}, found {magic:#010x}")
            return
        payload = data[at + HEAD.size : at + HEAD.size + length]
        if len(payload) < length:
            yield at, Broken(at, f"the record should have {length} bytes, {len(payload)} are there")
            return
        if zlib.crc32(payload) != checksum:
            yield at, Broken(at, "the checksum does not match")
            return
        try:
            (header_length,) = struct.unpack_from("<Q", payload)
            header = json.loads(payload[8 : 8 + header_length])
            record = load(payload), json.loads(header["__metadata__"][_KEY])
        except (SafetensorError, ValueError, KeyError, struct.error) as error:
            yield at, Broken(at, f"the record is not one of ours: {error!r}")
            return
        yield at, record
        at += HEAD.size + length


def _plain(value: object) -> object:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} {value!r} cannot be written as JSON")
