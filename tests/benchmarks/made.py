"""Small inputs in the forms that benchmarks read, and stand-ins for peers that are not installed."""

from __future__ import annotations

import csv
import gzip
import io
import json
import sys
from collections.abc import Iterable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from tests.conftest import GERMAN, INSULTS, article, html

TEXTS = [article(n) for n in range(60)]


def packed(path: Path, text: str) -> Path:
    """A file that is compressed as its name says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    raw = text.encode()
    pack = {".gz": gzip.compress, ".zst": zstandard.ZstdCompressor().compress}.get(path.suffix)
    path.write_bytes(pack(raw) if pack else raw)
    return path


def jsonl(path: Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    return packed(path, "".join(json.dumps(row) + "\n" for row in rows))


def text_rows(path: Path) -> Path:
    return jsonl(path, ({"text": t} for t in TEXTS))


def text_table(path: Path) -> Path:
    pq.write_table(pa.table({"text": TEXTS}), path)
    return path


def sentences(path: Path) -> Path:
    """Rows with a language."""
    english = [{"text": s + ".", "lang": "en"} for t in TEXTS[:5] for s in t.split(". ")[1:4]]
    return jsonl(path, [*english, *({"text": s, "lang": "de"} for s in GERMAN.split(". ")[:4])])


def labelled_pages(folder: Path) -> Path:
    """Pages with reference texts, as the Web Content eXtraction Benchmark lays them out."""
    rows = []
    for n, text in enumerate(TEXTS[:6]):
        folder.joinpath("html").mkdir(parents=True, exist_ok=True)
        (folder / "html" / f"{n}.html.gz").write_bytes(gzip.compress(html(text)))
        url = f"https://site{n}.test/{n}"
        rows.append({"file_id": str(n), "url": url, "page_type": "article", "main_content": text})
    jsonl(folder / "ground-truth.jsonl.gz", rows)
    return folder


def pages(folder: Path) -> Path:
    """Files of HTML, a folder per language."""
    for language, texts in (("en", TEXTS[:3]), ("de", [GERMAN])):
        (folder / language).mkdir(parents=True)
        for n, text in enumerate(texts):
            (folder / language / f"{n}.html").write_bytes(html(text))
    return folder


def charsets(folder: Path) -> Path:
    """A page per charset, and one whose label no codec fits."""
    russian = "Почва — основа каждого сада, и всё же люди редко думают о ней. Весной её легко узнать по запаху. " * 5
    for name, codec in (
        ("KOI8-R", "koi8-r"),
        ("utf-8", "utf-8"),
        ("windows-1251-russian", "cp1251"),
        ("no-such", "utf-8"),
    ):
        (folder / name).mkdir(parents=True)
        (folder / name / "page.txt").write_bytes(russian.encode(codec, "replace"))
    return folder


def labelled_texts(folder: Path) -> Path:
    """The sets that safety.py reads, a few rows of each."""
    parts = [s.strip() + "." for t in TEXTS for s in t.split(". ") if 20 < len(s) < 300]
    mild = [f"{p} {n}" for n, p in enumerate(parts[:120])]
    rude = [f"{INSULTS} {p} {n}" for n, p in enumerate(parts[:120])]
    table = io.StringIO()
    rows = [
        {"class": c, "tweet": t} for m, r in zip(mild, rude, strict=True) for c, t in (("0", r), ("1", r), ("2", m))
    ]
    writer = csv.DictWriter(table, ["class", "tweet"])
    writer.writeheader()
    writer.writerows(rows)
    packed(folder / "tox_davidson" / "labeled_data.csv.gz", table.getvalue())
    labels = [(t, toxic) for m, r in zip(mild, rude, strict=True) for t, toxic in ((r, True), (m, False))]
    jsonl(
        folder / "tox_edos" / "train_dev.jsonl.gz",
        ({"text": t, "label": "sexist" if bad else "not sexist"} for t, bad in labels),
    )
    jsonl(
        folder / "tox_toxigen_prompts" / "prompts.jsonl.gz",
        ({"text": t, "label": "hate" if bad else "neutral"} for t, bad in labels),
    )
    jsonl(
        folder / "tox_wikipedia_nonfuzzed" / "testset.jsonl.gz", ({"text": t, "toxic": str(bad)} for t, bad in labels)
    )
    table = io.StringIO()
    writer = csv.DictWriter(table, ["text", "is_toxic"])
    writer.writeheader()
    writer.writerows({"text": t, "is_toxic": "Toxic" if bad else "Not Toxic"} for t, bad in labels)
    packed(folder / "tox_surge" / "toxicity_en.csv.gz", table.getvalue())
    phrases = [(f"{term} people plant trees {n}", "non-toxic") for term in ("gay", "old") for n in range(40)]
    phrases += [(f"i hate {term} people {n}", "toxic") for term in ("gay", "old") for n in range(40)]
    jsonl(
        folder / "bias_templates" / "en_8k.jsonl.gz",
        ({"phrase": phrase, "toxicity": label} for phrase, label in phrases),
    )
    long = [f"{a} {b}" for a, b in pairwise(parts)]
    jsonl(folder / "prose_classic_books" / "books.jsonl.zst", [{"text": "\n\n".join(long)}])
    packed(folder / "prose_wikitext2_valid" / "valid.txt.gz", "\n".join(TEXTS[:20]))
    row = "Write to jane.doe@mail.example.com or to 81.169.145.78, please."
    spans = [
        {"start": row.index(found), "end": row.index(found) + len(found), "type": kind}
        for found, kind in (("jane.doe@mail.example.com", "EMAIL_ADDRESS"), ("81.169.145.78", "IP_ADDRESS"))
    ]
    jsonl(folder / "pii_presidio_v2" / "synth_v2.jsonl.gz", [{"text": row, "spans": spans}])
    questions = [
        f"How many rows of number{n} beans fit into bed number{n} if there are number{n} stones?" for n in range(5)
    ]
    jsonl(folder / "decon_evalsets" / "sums" / "test.jsonl", ({"question": q} for q in questions))
    return folder


# Speaks as datatrove_side.py does: nothing is dropped but texts with "stupid" in them
FILTERS_PEER = """
import json, sys
names = ["gopher_repetition", "gopher_quality", "c4", "c4_full", "fineweb"]
for line in sys.stdin:
    text = json.loads(line)
    bad = "lorem_ipsum" if "stupid" in text else None
    row = dict.fromkeys(names) | {"c4": bad, "chain": bad and "c4:" + bad, "text": None if bad else text}
    print(json.dumps(row))
print(json.dumps({"cpu": dict.fromkeys([*names, "chain"], 0.5), "version": "0.0"}))
"""
# Speaks as dedup_side.py does: keeps everything
DEDUP_PEER = """
import json, sys
import pyarrow.parquet as pq
ids = pq.read_table(sys.argv[3], columns=["id"])["id"].to_pylist()
print(json.dumps({"cpu": 0.5, "kept": ids, "peak": 1 << 20, "version": "0.0"}))
"""
# Speaks as the other interpreter of extraction.py does: a word a page
EXTRACTION_PEER = """
import json, sys
for line in sys.stdin:
    print(json.dumps(["word", 0.01]))
"""


def stand_in(path: Path, code: str) -> Path:
    """An interpreter of an environment with a peer: whatever it is asked to run, it runs `code`."""
    path.write_text(f"#!{sys.executable}\n{code}", encoding="utf-8")
    path.chmod(0o755)
    return path
