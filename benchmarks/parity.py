"""Do winnow's rule sets decide as datatrove's filters do? Every text, every filter alone, and FineWeb's order.

    python benchmarks/parity.py TEXTS... [--side-python PYTHON] [--limit 2000] [--splitter regex|stock]

TEXTS: Parquet or JSONL with a text, folders or tar files of HTML pages (extracted first). --side-python names an
interpreter of an environment with `datatrove[processing]==0.10.1` and spaCy; without it only what winnow drops is shown.
With --splitter regex both sides cut words by `\\w+|[^\\w\\s]`; with stock datatrove keeps its spaCy tokenizer, which shows
what the choice of splitter alone does.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from pathlib import Path
from typing import Any

from peers import missing, run_peer
from texts import load_texts

from pipeline.core.documents import Doc, Documents
from pipeline.core.registry import measure
from pipeline.core.spans import apply_spans
from pipeline.curate.build import build
from pipeline.curate.config import CurateConfig, SignalsConfig
from pipeline.curate.gates import Curation, EditGate, RuleGate

GATES = {
    "gopher_repetition": "datatrove_gopher_repetition",
    "gopher_quality": "datatrove_gopher_quality",
    "c4": "c4_any_end",
    "c4_full": "c4",
    "fineweb": "fineweb",
}
REASONS = {
    "dup_para_frac": "dup_paragraphs", "dup_para_char_frac": "dup_paragraph_chars", "dup_line_frac": "dup_lines",
    "dup_line_char_frac": "dup_line_chars", **{f"top_{n}_gram": f"top_{n}gram" for n in (2, 3, 4)},
    **{f"duplicated_{n}_n_grams": f"dup_{n}grams" for n in range(5, 11)},
    "gopher_short_doc": "too_few_words", "gopher_long_doc": "too_many_words",
    "gopher_below_avg_threshold": "mean_word_too_short", "gopher_above_avg_threshold": "mean_word_too_long",
    "gopher_too_many_hashes": "too_many_hashes", "gopher_too_many_ellipsis": "too_many_ellipses",
    "gopher_too_many_bullets": "too_many_bullet_lines", "gopher_too_many_end_ellipsis": "too_many_ellipsis_lines",
    "gopher_below_alpha_threshold": "too_few_alpha_words", "gopher_enough_stop_words": "too_few_stop_words",
    "lorem_ipsum": "lorem_ipsum", "curly_bracket": "curly_bracket", "too_few_sentences": "too_few_sentences",
    "line_punct_ratio": "too_few_terminal_lines", "short_line_ratio": "too_many_short_lines",
    "char_dup_ratio": "dup_line_chars", "list_ratio": "too_many_newlines", "empty": "empty",
}  # fmt: skip


def theirs(texts: list[str], python: str, splitter: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Verdicts of datatrove, and its CPU seconds."""
    side = Path(__file__).with_name("datatrove_side.py")
    lines = "".join(json.dumps(t) + "\n" for t in texts)
    told = run_peer(python, str(side), splitter, given=lines)
    rows = [json.loads(line) for line in told.splitlines() if line.startswith("{")]
    return rows[:-1], rows[-1]


def first_reasons(curation: Curation, docs: Documents) -> dict[str, list[str | None]]:
    """The first failing rule of every gate, for each document."""
    for first, params in curation.signal_params.items():
        measure(curation.signal(first), docs, params)
    found: dict[str, list[str | None]] = {}
    for gate in curation.gates:
        if isinstance(gate, RuleGate):
            rows = [gate.rules.failing(d.signals, "en") for d in docs]
            found[gate.name] = [r[0].reason if r else None for r in rows]
    return found


def ours(texts: list[str]) -> list[dict[str, Any]]:
    """Verdicts of winnow in the form of datatrove's."""
    curation = build(
        CurateConfig(gates=[*GATES.values(), "c4_lines"], tables={"c4_lines": {"end_mark": False}}), SignalsConfig()
    )
    c4_lines = curation.gates[-1]
    assert isinstance(c4_lines, EditGate)
    edit, params = c4_lines.call.edit, c4_lines.call.params
    docs = Documents(Doc(i.to_bytes(16, "big"), t) for i, t in enumerate(texts))
    alone = first_reasons(curation, docs)
    edited = [apply_spans(t, edit.fn(d, **params))[0] for t, d in zip(texts, docs, strict=True)]
    after = first_reasons(curation, Documents(Doc(d.doc_id, t) for d, t in zip(docs, edited, strict=True)))["fineweb"]
    rows = []
    for i in range(len(texts)):
        row: dict[str, Any] = {name: alone[gate][i] for name, gate in GATES.items()}
        chain = [("gopher_repetition", row["gopher_repetition"]), ("gopher_quality", row["gopher_quality"]),
                 ("c4", row["c4"]), ("fineweb", after[i])]  # fmt: skip
        row["chain"] = next((f"{name}:{reason}" for name, reason in chain if reason), None)
        row["text"] = edited[i] if row["chain"] is None else None
        rows.append(row)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("texts", nargs="+", type=Path)
    parser.add_argument("--side-python", default="", help="Python of an environment with datatrove and spaCy")
    parser.add_argument("--limit", type=int, default=2_000)
    parser.add_argument("--splitter", choices=["regex", "stock"], default="regex")
    parser.add_argument("--show", type=int, default=10, help="differences to print")
    args = parser.parse_args()
    texts = load_texts(args.texts, args.limit)
    mine = ours(texts)
    print(f"{len(texts):,} texts, {sum(map(len, texts)):,} characters")
    if not args.side_python:
        missing("datatrove", "no --side-python given: there is nothing to compare with")
        print(f"{'filter':<20}{'dropped':>9}")
        for name in [*GATES, "chain"]:
            print(f"{name:<20}{sum(r[name] is not None for r in mine):>9,}")
        return
    peer, end = theirs(texts, args.side_python, args.splitter)
    print(f"datatrove {end['version']}, {args.splitter} splitter")
    compare(mine, peer, args.show)


def compare(mine: list[dict[str, Any]], peer: list[dict[str, Any]], show: int) -> None:
    """Equal decisions and reasons, filter by filter; `show` differences in full."""
    print(f"{'filter':<20}{'dropped':>9}{'theirs':>9}{'equal decisions':>17}{'equal first reasons':>21}")
    shown: list[str] = []
    for name in [*GATES, "chain"]:
        same = reasons = both = 0
        kinds: Counter[str] = Counter()
        for i, (a, b) in enumerate(zip(mine, peer, strict=True)):
            left, right = a[name], _known(b[name])
            same += (left is None) == (right is None)
            if left is not None and right is not None:
                both += 1
                reasons += left == right
            if left != right:
                kinds[f"{left} / {right}"] += 1
                shown.append(f"{name}: text {i}: {left} / datatrove {right}")
        n = len(mine)
        dropped, theirs_dropped = sum(r[name] is not None for r in mine), sum(r[name] is not None for r in peer)
        print(f"{name:<20}{dropped:>9,}{theirs_dropped:>9,}{same / n:>16.2%} {reasons / max(both, 1):>20.2%}")
        for kind, count in kinds.most_common(5):
            print(f"    {count:>5}  {kind}")
    pairs = [
        (a["text"], b["text"]) for a, b in zip(mine, peer, strict=True) if a["chain"] is None and b["chain"] is None
    ]
    print(
        f"texts kept by both: {len(pairs):,}, equal to the byte after C4's line edits: {sum(a == b for a, b in pairs):,}"
    )
    for line in shown[:show]:
        print(line)


def _known(verdict: str | None) -> str | None:
    if verdict is None:
        return None
    name, colon, reason = verdict.rpartition(":")
    return f"{name}{colon}{REASONS.get(reason, reason)}"


if __name__ == "__main__":
    main()
