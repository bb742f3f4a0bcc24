"""Which open elements a tag closes. The open elements are a stack of rows of the table of elements, stack[0] to stack[top].

A tag's effect is the height of the stack after it, before its own element is put on. Searches go a bounded number of elements
down, so that no page costs more than its length; the HTML standard would search on.
"""

from __future__ import annotations

from pipeline.extract.fast.kernels import tags as T
from pipeline.extract.fast.kernels.compiling import part
from pipeline.extract.fast.kernels.elements import E

_P, _HEAD, _BODY = T.TAG["p"], T.TAG["head"], T.TAG["body"]
MAX_UP, MAX_UP_END = 60, 400  # elements searched for what a start tag closes, and for what an end tag does


@part
def height_after_end(el, stack, top, tag, prop, kinds):
    """Height of the stack after an end tag; an inline element is not closed from inside a block that it is around."""
    inline = tag != 0 and not prop & T.BLOCK
    for s in range(top, max(0, top - MAX_UP_END), -1):
        open_tag = el[stack[s], E.tag]
        if open_tag == tag:
            return s - 1
        if inline and kinds[open_tag] & T.KIND_BLOCK:
            break
    return top


@part
def height_after_start(el, stack, top, open_tags, tag, prop, kinds, closes, respects):
    """Height of the stack after what a start tag closes by being there; `open_tags` counts the open elements of each tag."""
    height = top
    lowest = max(0, top - MAX_UP)
    if prop & T.CLOSES_P and open_tags[_P] > 0:
        for s in range(top, lowest, -1):
            kind = kinds[el[stack[s], E.tag]]
            if kind & T.KIND_P:
                height = s - 1
                break
            if kind & (T.KIND_CELL | T.KIND_TABLE):
                break
    if closes[tag]:
        for s in range(top, lowest, -1):
            kind = kinds[el[stack[s], E.tag]]
            if kind & closes[tag]:
                height = s - 1
            elif kind & respects[tag]:
                break
    if open_tags[_HEAD] > 0 and tag and not prop & T.IN_HEAD and tag != _BODY:
        for s in range(top, 0, -1):  # what can't stand in the head ends it
            if kinds[el[stack[s], E.tag]] & T.KIND_HEAD:
                height = s - 1
                break
    return height
