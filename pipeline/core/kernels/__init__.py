"""Compiled kernels: loops over bytes and arrays, written in numba and called a page or a batch at a time.

All kernels live here. They take and return NumPy arrays, never Python objects; they are compiled once and cached on
disk; fastmath is off, so that results do not depend on the CPU. `NUMBA_BOUNDSCHECK=1` in the tests checks every index.
"""
