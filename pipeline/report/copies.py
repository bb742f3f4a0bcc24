"""Clusters of copies as one self-contained page: kept and dropped side by side, differences marked."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from pipeline.look.clusters import Clusters, DroppedCopy, Part
from pipeline.report.page import document

CONTEXT = 8  # equal words shown on each side of a difference
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 1100px; padding: 0 1rem; color: #222; }
h2 { font-size: 1rem; margin: 2.5rem 0 .5rem; border-top: 1px solid #ccc; padding-top: 1rem; overflow-wrap: anywhere; }
table { width: 100%; border-collapse: collapse; table-layout: fixed; margin-bottom: 1.5rem; }
th, td { width: 50%; text-align: left; vertical-align: top; padding: .4rem .8rem; overflow-wrap: anywhere; }
th { font-weight: 600; background: #f3f3f0; } td { border-left: 3px solid #eee; }
del { background: #ffdfd6; text-decoration: none; } ins { background: #d9f2d9; text-decoration: none; }
.quiet { color: #777; font-weight: 400; }
"""


def copies_page(found: Clusters, title: str) -> str:
    """The page. Text of documents is escaped."""
    body = [f"<p>{found.clusters:,} clusters, {found.copies:,} dropped copies.</p>"]
    for cluster in found.shown:
        body.append(f"<h2>{escape(_name(cluster.kept, cluster.doc_id))} and {counted(cluster.size)}</h2>")
        body += [_beside(copy) for copy in cluster.copies]
    return document(title, STYLE, f"<h1>{escape(title)}</h1>{''.join(body)}")


def _beside(copy: DroppedCopy) -> str:
    note = f"; {copy.note}" if copy.note else ""
    head = (
        f"<tr><th>kept</th><th>{escape(_name(copy.url, copy.doc_id))} "
        f'<span class="quiet">{escape(copy.gate)}, {copy.similarity:.3f}{escape(note)}</span></th></tr>'
    )
    left, right = [], []
    for kind, one, other in shorten(copy.parts):
        left.append(escape(one) if kind == "equal" else f"<del>{escape(one)}</del>" if one else "")
        right.append(escape(other) if kind == "equal" else f"<ins>{escape(other)}</ins>" if other else "")
    row = f"<tr><td>{' '.join(left)}</td><td>{' '.join(right)}</td></tr>" if copy.parts else ""
    return f"<table>{head}{row}</table>"


def _name(url: str | None, doc_id: str) -> str:
    return url or f"document {doc_id}"


def counted(copies: int) -> str:
    return "1 copy" if copies == 1 else f"{copies:,} copies"


def shorten(parts: Sequence[Part]) -> list[Part]:
    """Parts of two texts with long equal ones cut to a few words around the differences."""
    out = []
    for n, part in enumerate(parts):
        if part.kind == "equal":
            words = part.kept.split()
            head = words[:CONTEXT] if n else []
            tail = words[-CONTEXT:] if n + 1 < len(parts) else []
            if len(words) > len(head) + len(tail) + 3:
                cut = " ".join([*head, f"[{len(words) - len(head) - len(tail)} words]", *tail])
                part = Part("equal", cut, cut)
        out.append(part)
    return out
