"""Token shards, batches of training steps, and tokenizers side by side."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Sequence

from pipeline.cli.show.terminal import print_coloured
from pipeline.look.tokens import ShardGlance, StepBatch
from pipeline.report.format import bar, mib
from pipeline.text.visible import columns, cut, padded, visible
from tokenize_stage.evaluate import Evaluated, Evaluation, GroupRates

SHADES = ("\x1b[48;5;236m", "\x1b[48;5;240m")  # of every other token
RESET = "\x1b[0m"
ROW_LINES = 14  # of a row that are shown
LISTED_GROUPS = 10


def show_shard(s: ShardGlance) -> None:
    meta = {k.removeprefix("winnow."): v for k, v in s.metadata.items()}
    how = f"{meta.get('split', '?')} split, {meta.get('packing', '?')} packing, seed {meta.get('seed')}"
    print(f"token shard of the {visible(how)}")
    print(f"  rows         {s.num_rows:>12,}  of {int(meta['row_tokens']):,} tokens, in {s.row_groups:,} row groups")
    share = s.padding / max(s.padding + s.tokens, 1)
    print(f"  tokens       {s.tokens:>12,}  and {s.padding:,} of padding ({share:.3%})")
    print(f"  documents    {s.documents:>12,}  in {s.pieces:,} pieces, {s.cut_documents:,} of them cut")
    if s.piece_tokens:
        lengths = ", ".join(f"{v:,} ({k} %)" for k, v in s.piece_tokens.items())
        print(f"  tokens of a piece: {lengths}")
    print(f"  bytes        {s.bytes:>12,}  {s.bytes_per_token} a token, {visible(meta['dtype'])}")
    match = {None: "", s.sha256: ", as the manifest says"}.get(s.sha256_of_manifest, ", NOT WHAT THE MANIFEST SAYS")
    print(f"  sha256       {s.sha256}{match}")
    print(
        f"  tokenizer    {visible(meta['tokenizer_sha256'])}, {int(meta['vocab_size']):,} entries, {s.unused:,} not in this file"
    )
    for source in s.sources[:8]:
        print(f"  source       {source.tokens:>12,}  {visible(source.source or '(none)')}")
    if s.frequent:
        shown = "  ".join(f"{_visible(t.token)} {t.count:,}" for t in s.frequent[:12])
        print(f"  most frequent  {shown}")
    for number, row in enumerate(s.rows):
        print(f"\nrow {number}: {row.n_tokens:,} tokens, {len(row.documents)} documents")
        for part in row.documents:
            begins = "" if part.first_token == 0 else f", from its token {part.first_token:,} on"
            print(f"  [{part.start}:{part.end}] {part.doc_id} {visible(part.source or '')}{begins}")
            for line in _lines(part.pieces):
                print_coloured(f"    {line}")


def _visible(token: str) -> str:
    return visible(token.replace("\n", "↵").replace("\t", "→").replace(" ", "␣"))


def _lines(tokens: Sequence[str]) -> list[str]:
    """Tokens on lines of the terminal's width: shaded by turns there, with bars between them elsewhere."""
    colour = sys.stdout.isatty()
    width = min(shutil.get_terminal_size((120, 40)).columns, 160) - 6
    lines, line, size = [], "", 0
    for number, token in enumerate(tokens):
        shown = cut(token.replace("\n", "↵").replace("\t", "→"), width - 1)
        wide = columns(shown) + (not colour)
        if size + wide > width:
            lines.append(line)
            line, size = "", 0
            if len(lines) == ROW_LINES:
                return [*lines, f"… and {len(tokens) - number:,} tokens more"]
        line += f"{SHADES[number % 2]}{shown}{RESET}" if colour else f"{shown}|"
        size += wide
    return [*lines, line] if line else lines


def show_batch(found: StepBatch) -> None:
    print(f"step {found.step:,}: rows {found.position:,} to {found.position + len(found.rows):,} of the sequence")
    for number, row in enumerate(found.rows):
        print(f"row {number}")
        for part in row:
            name = part.url or part.source or ""
            print(f"  [{part.start}:{part.end}] {part.doc_id} from token {part.first_token:,}  {visible(name)}")


def show_evaluation(e: Evaluation) -> None:
    """Tokenizers side by side, a column each."""
    print(f"{e.documents:,} documents, {mib(e.bytes)}")
    made = e.tokenizers
    width = max(14, *(columns(visible(t.name)) + 2 for t in made))
    rows: list[tuple[str, Callable[[Evaluated], str]]] = [
        ("model", lambda t: t.model),
        ("vocabulary", lambda t: f"{t.vocabulary:,}"),
        ("bytes per token", lambda t: f"{t.bytes_per_token:.3f}"),
        ("tokens per word", lambda t: f"{t.tokens_per_word:.3f}"),
        ("unknown tokens", lambda t: f"{t.unknown_share:.2%}"),
        ("unknown bytes", lambda t: f"{t.unknown_bytes_share:.2%}"),
        ("never used here", lambda t: f"{t.unused:,}"),
        ("never reached", lambda t: f"{t.unreached:,}"),
        ("parts of characters", lambda t: f"{t.partial:,}"),
        ("Rényi efficiency", lambda t: f"{t.renyi_efficiency:.3f}"),
        ("overlap with first", lambda t: f"{t.overlap:.1%}"),
        ("MB/s of CPU", lambda t: f"{t.megabytes_per_s:.1f}"),
        ("engine", lambda t: t.engine),
    ]
    print(f"  {'':<20}" + "".join(_right(t.name, width) for t in made))
    for title, value in rows:
        print(f"  {title:<20}" + "".join(_right(value(t), width) for t in made))
    title = "bytes per token / tokens per word by language"
    _rates(title, [t.languages[:LISTED_GROUPS] for t in made], width)
    _rates("by host", [t.hosts[:LISTED_GROUPS] for t in made], width)
    for t in made:
        if t.glitch:
            shown = ", ".join(f"{_visible(g.token)} ({visible(g.why)})" for g in t.glitch[:8])
            print(f"\nlikely glitch tokens of {visible(t.name)}: {shown}")
    best = max(t.bytes_per_token for t in made)
    print()
    for t in made:
        print(f"  {padded(t.name, 20)}{t.bytes_per_token:>7.2f}  {bar(t.bytes_per_token / best)}")


def _right(text: str, width: int) -> str:
    shown = visible(text)
    return " " * (width - columns(shown)) + shown


def _rates(title: str, groups: Sequence[Sequence[GroupRates]], width: int) -> None:
    """Groups of the first tokenizer a line each, all tokenizers a column each; nothing if there is only one without a name."""
    if len(groups[0]) < 2 and not (groups[0] and groups[0][0].name):
        return
    print(f"\n{title}")
    for i, row in enumerate(groups[0]):
        cells = [f"{g[i].bytes_per_token:.2f} / {g[i].tokens_per_word:.2f}" for g in groups]
        print(f"  {padded(row.name or '(none)', 20)}" + "".join(f"{c:>{width}}" for c in cells))
