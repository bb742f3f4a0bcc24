"""Language identification: winnow's kernel beside the fasttext bindings, and accuracy per language.

    python benchmarks/langid.py SENTENCES.jsonl [--texts TEXTS...] [--model lid.176]

SENTENCES: rows with `text` and `lang` (ISO 639-1), such as the sentences that lingua is tested with. Labels must be the
same for every text; speed is CPU time on full texts (--texts as in parity.py) and on the sentences, in one run. With
`pip install lingua-language-detector` its accuracy is shown beside (slow: --lingua N sentences per language).
"""

from __future__ import annotations

import argparse
import gzip
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import fasttext
from measuring import cpu, machine
from peers import installed
from texts import load_texts

from pipeline.models.fasttext import FastText
from pipeline.models.store import find_model, known_models
from pipeline.text.batch import TextBatch

SAME = {
    "no": {"no", "nb", "nn"},
    "nb": {"no", "nb"},
    "nn": {"nn", "no"},
    "sr": {"sr", "sh"},
    "hr": {"hr", "sh"},
    "bs": {"bs", "sh"},
}


def compare(name: str, texts: list[str], own: FastText, peer: Any) -> None:
    """Print rates and whether the labels are equal."""
    batch = TextBatch(texts)
    own.predict(batch)
    mine, (labels, scores) = cpu(lambda: own.predict(TextBatch(texts)))
    flat = [" ".join(t.split()) for t in texts]
    theirs, (rows, probabilities) = cpu(lambda: peer.predict(flat, k=1))
    expected = [r[0].removeprefix("__label__") if len(r) else "und" for r in rows]
    gap = max(
        (abs(min(float(p[0]), 1.0) - s) for p, s in zip(probabilities, scores, strict=True) if len(p)), default=0.0
    )
    megabytes = len(batch.data) / 1e6
    same = sum(a == b for a, b in zip(labels, expected, strict=True))
    print(f"{name:<12}{len(texts):>8,} texts {megabytes:>7.1f} MB   winnow {megabytes / mine:>6.1f} MB/s   "
          f"fasttext {megabytes / theirs:>5.1f} MB/s   {theirs / mine:.1f} x   labels equal {same:,}/{len(texts):,}   "
          f"largest difference of a probability {gap:.1e}")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sentences", type=Path)
    parser.add_argument("--texts", nargs="*", type=Path, default=[])
    parser.add_argument("--model", default="lid.176")
    parser.add_argument("--lingua", type=int, default=0, help="sentences per language to give to lingua")
    args = parser.parse_args()
    print(machine())
    path = find_model(args.model) if args.model in known_models() else Path(args.model)
    own, peer = FastText(path), fasttext.load_model(str(path))
    opened = gzip.open if args.sentences.suffix == ".gz" else open
    with opened(args.sentences, "rt", encoding="utf-8") as f:
        rows = [json.loads(line) for line in f]
    if args.texts:
        compare("full texts", load_texts(args.texts, 2_000), own, peer)
    sentences = [r["text"] for r in rows]
    compare("sentences", sentences, own, peer)
    labels, _ = own.predict(TextBatch(sentences))
    right: dict[str, list[int]] = defaultdict(list)
    for row, label in zip(rows, labels, strict=True):
        right[row["lang"]].append(label in SAME.get(row["lang"], {row["lang"]}))
    wanted = args.lingua and installed("lingua", "lingua-language-detector")
    lingua = _lingua(rows, args.lingua) if wanted else {}
    known = [lang for lang in sorted(right) if lang in own.labels]
    print(f"accuracy over {len(known)} languages that the model has: "
          f"{sum(sum(right[k]) / len(right[k]) for k in known) / len(known):.4f} (mean of languages)")  # fmt: skip
    for lang in sorted(right):
        other = f"   lingua {lingua[lang]:.3f}" if lang in lingua else ""
        note = "" if lang in own.labels else "   (not in the model)"
        print(f"  {lang:<6}{sum(right[lang]) / len(right[lang]):.3f}  of {len(right[lang]):,}{other}{note}")


def _lingua(rows: list[dict[str, str]], per_language: int) -> dict[str, float]:
    from lingua import LanguageDetectorBuilder  # type: ignore[import-not-found]

    detector = LanguageDetectorBuilder.from_all_languages().build()
    taken: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        if len(taken[row["lang"]]) < per_language:
            taken[row["lang"]].append(row["text"])
    scores = {}
    for lang, texts in taken.items():
        found = [detector.detect_language_of(t) for t in texts]
        scores[lang] = sum(f is not None and f.iso_code_639_1.name.lower() == lang for f in found) / len(texts)
    return scores


if __name__ == "__main__":
    main()
