"""Runs datatrove's filters in an environment of their own: JSON lines in, JSON lines out. Started by the benchmarks.

    python datatrove_side.py stock|regex < texts.jsonl > verdicts.jsonl

Each input line is a JSON string. Each output line holds, for one text, the first reason of every filter alone on that
text and the first reason in FineWeb's order (Gopher repetition, Gopher quality, C4, FineWeb; C4 edits the text that
FineWeb sees), null where the text passes. The last line is {"cpu": {filter: seconds}, "version": ...}.
With `regex` the word splitter is `\\w+|[^\\w\\s]` and a sentence ends at . ! ? with closing quotes before white space.
"""

import importlib.metadata
import json
import re
import sys
import time

from datatrove.data import Document
from datatrove.pipeline.filters import (
    C4QualityFilter,
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
)
from datatrove.utils import text as text_module
from datatrove.utils import word_tokenizers

WORDS = re.compile(r"\w+|[^\w\s]")
SENTENCE_END = re.compile(r"[.!?]+[\"')\]]*\s+(?=\S)")


class RegexSplitter:
    """Stands in for the spaCy tokenizer."""

    def word_tokenize(self, text: str) -> list[str]:
        return WORDS.findall(text)

    def span_tokenize(self, text: str) -> list[tuple[int, int]]:
        ends = [*(m.end() for m in SENTENCE_END.finditer(text)), len(text)]
        return list(zip([0, *ends[:-1]], ends, strict=True))


def main() -> None:
    if sys.argv[1] == "regex":
        splitter = RegexSplitter()
        word_tokenizers.load_word_tokenizer = lambda language: splitter
    filters = {
        "gopher_repetition": GopherRepetitionFilter(),
        "gopher_quality": GopherQualityFilter(),
        "c4": C4QualityFilter(filter_no_terminal_punct=False),
        "c4_full": C4QualityFilter(),
        "fineweb": FineWebQualityFilter(),
    }
    chain = ("gopher_repetition", "gopher_quality", "c4", "fineweb")
    cpu = dict.fromkeys([*filters, "chain"], 0.0)
    alone = sys.argv[2:] != ["chain"]

    def judge(name: str, doc: Document) -> str | None:
        verdict = filters[name].filter(doc)
        return (verdict[1] if isinstance(verdict, tuple) else "dropped") if verdict is not True else None

    judge("gopher_quality", Document(text="The first call loads the splitter.", id="0"))
    for line in sys.stdin:
        text = json.loads(line)
        row = {}
        for name in filters if alone else ():
            text_module.split_into_parts.cache_clear()
            began = time.process_time()
            row[name] = judge(name, Document(text=text, id="0"))
            cpu[name] += time.process_time() - began
        text_module.split_into_parts.cache_clear()
        doc = Document(text=text, id="0")
        began = time.process_time()
        first = next((f"{name}:{reason}" for name in chain if (reason := judge(name, doc)) is not None), None)
        cpu["chain"] += time.process_time() - began
        row["chain"] = first
        row["text"] = doc.text if first is None and alone else None
        print(json.dumps(row))
    print(json.dumps({"cpu": cpu, "version": importlib.metadata.version("datatrove")}))


main()
