"""Bytes of UTF-8 buffers: reading characters, searching, hashing."""

from __future__ import annotations

import numpy as np
from numba import njit, types

from pipeline.text.kernels.chars import TABLE_SIZE

FNV_OFFSET = np.uint64(0xCBF29CE484222325)
FNV_PRIME = np.uint64(0x100000001B3)
MIX = np.uint64(0x9E3779B97F4A7C15)
SHIFT = np.uint64(32)

# The C library's memchr, found by its name when a kernel is loaded: it passes over scripts, attribute values and lines many
# times faster than a loop.
_memchr = types.ExternalFunction("memchr", types.intp(types.intp, types.int32, types.intp))


@njit(cache=True, inline="always")
def code_at(data, i):
    """(code point, bytes) of the character that begins at byte i of valid UTF-8."""
    a = np.int64(data[i])
    if a < 0x80:
        return a, 1
    if a < 0xE0:
        return ((a & 0x1F) << 6) | (np.int64(data[i + 1]) & 0x3F), 2
    if a < 0xF0:
        return ((a & 0x0F) << 12) | ((np.int64(data[i + 1]) & 0x3F) << 6) | (np.int64(data[i + 2]) & 0x3F), 3
    return (
        ((a & 0x07) << 18)
        | ((np.int64(data[i + 1]) & 0x3F) << 12)
        | ((np.int64(data[i + 2]) & 0x3F) << 6)
        | (np.int64(data[i + 3]) & 0x3F),
        4,
    )


@njit(cache=True, inline="always")
def class_of(flags, code):
    return np.int64(flags[code]) if code < TABLE_SIZE else np.int64(0)


@njit(cache=True, inline="always")
def finish(h):
    """Spread a hash's entropy over all bits."""
    h ^= h >> SHIFT
    h *= MIX
    return h ^ (h >> SHIFT)


@njit(cache=True, inline="always")
def load8(data, i):
    """Eight bytes as one number; the compiler makes it one load."""
    u = np.uint64
    return (
        u(data[i]) | (u(data[i + u(1)]) << u(8)) | (u(data[i + u(2)]) << u(16)) | (u(data[i + u(3)]) << u(24))
        | (u(data[i + u(4)]) << u(32)) | (u(data[i + u(5)]) << u(40)) | (u(data[i + u(6)]) << u(48))
        | (u(data[i + u(7)]) << u(56))
    )  # fmt: skip


@njit(cache=True)
def hash_bytes(data, lo, hi):
    """64-bit hash of data[lo:hi]."""
    i, end = np.uint64(lo), np.uint64(hi)
    h = FNV_OFFSET ^ (end - i)
    while i + np.uint64(8) <= end:
        h = (h ^ load8(data, i)) * MIX
        h ^= h >> SHIFT
        i += np.uint64(8)
    while i < end:
        h = (h ^ np.uint64(data[i])) * FNV_PRIME
        i += np.uint64(1)
    return finish(h)


@njit(cache=True)
def find_byte(data, lo, hi, byte):
    """First place of a byte in data[lo:hi], hi if it is not there."""
    if lo >= hi:
        return hi
    base = data.ctypes.data
    found = _memchr(base + lo, byte, hi - lo)
    return found - base if found else hi
