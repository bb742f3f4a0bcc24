"""How the small functions that kernels are made of are compiled."""

from __future__ import annotations

from numba import njit

# A part of a kernel is put in place where it is called, and counts no references: numba would count those of every array that
# is handed on, with an atomic operation each, which costs more than the work itself where that is a tag or a word. So a part
# neither makes arrays nor returns any.
part = njit(cache=True, forceinline=True, _nrt=False)
