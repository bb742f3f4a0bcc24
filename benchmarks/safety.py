"""Toxicity, personal data and contamination: what winnow finds on public labelled sets.

    python benchmarks/safety.py DATA_FOLDER [--train OUT_FOLDER] [--only toxicity|pii|decontamination]

DATA_FOLDER holds the sets under the names below. Toxicity: tox_davidson (Davidson et al. 2017), tox_edos (Kirk et al.
2023), tox_surge, tox_toxigen_prompts (Hartvigsen et al. 2022), tox_wikipedia_nonfuzzed and bias_templates (Dixon et al.
2018), with prose_classic_books and prose_wikitext2_valid as clean prose. Personal data: pii_presidio_v2 (17 kinds with
spans). Contamination: decon_evalsets, planted into the prose. --train writes the two models that ship with winnow.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import random
import re
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.curate.files import CLASSIFIERS_DIR
from pipeline.decontaminate.sets import build_index, read_items
from pipeline.edits.pii import find
from pipeline.ingest.plan import open_stream
from pipeline.models.classifier import Example, auc, is_held_out, measure, scores, train, train_and_measure
from pipeline.text.batch import TextBatch

ABOUT = {
    "toxicity_en": "Insult, obscenity and threat in English posts and comments. Trained on Davidson et al. 2017 (tweets, MIT; "
    "hate speech and offensive language are positive), surge-ai/toxicity (MIT), Wikipedia talk comments of Dixon et al. "
    "2018 (CC-BY-SA-3.0 text, Apache-2.0 repository) and, as negatives, paragraphs of public-domain books and of "
    "Wikipedia (WikiText-2, CC-BY-SA-3.0).\n\n"
    "Sentences around identity terms, harmless and hostile, were added (benchmarks/safety.py has them).\n\n"
    "Limits: the positive tweets were collected by offensive words and much of them is African-American English, which "
    "such models flag too readily; irony, quotation and reclaimed words are beyond it; other languages too. Do not use it "
    "to judge people.",
    "hate_en": "Hate against groups, and sexism, in English. Trained on EDOS (Kirk et al. 2023, CC0), ToxiGen prompts "
    "(Hartvigsen et al. 2022, MIT), the hate class of Davidson et al. 2017 (MIT) against its harmless class and, as "
    "negatives, paragraphs of public-domain books and of Wikipedia (WikiText-2, CC-BY-SA-3.0).\n\n"
    "Sentences around identity terms, harmless and hostile, were added (benchmarks/safety.py has them).\n\n"
    "Limits: it leans on identity terms, see the gap in docs/safety.md; implicit hate is hard for a model of words; other "
    "languages are beyond it. Do not use it to judge people.",
}


def _read(path: Path) -> str:
    with open_stream(path) as f:
        return f.read().decode("utf-8")


def _jsonl(path: Path) -> Iterator[dict[str, Any]]:
    yield from (json.loads(line) for line in _read(path).split("\n") if line)


def books(data: Path) -> list[str]:
    return [r["text"] for r in _jsonl(data / "prose_classic_books" / "books.jsonl.zst")]


def wikitext(data: Path) -> list[str]:
    return [p for p in _read(data / "prose_wikitext2_valid" / "valid.txt.gz").split("\n") if len(p) > 80]


def prose(data: Path) -> list[Example]:
    found = []
    for text in books(data):
        parts = [p for p in re.split(r"\n\s*\n", text) if 60 < len(p) < 600][50:]
        found += random.Random(2).sample(parts, min(60, len(parts)))
    return [Example(t, False, "prose") for t in [*found, *(p[:500] for p in wikitext(data))]]


# Sentences of our own around identity terms, harmless and hostile, so that a term alone says nothing to the models
HARMLESS = (
    "{} people live in this town", "my neighbour is {}", "she writes about {} history", "the {} centre opened in May",
    "a support group for {} teenagers and their parents", "he is a proud {} man", "{} rights were debated in parliament",
    "the film tells the story of a {} couple", "they met at a {} film festival", "our {} friends came to dinner", "I am {}",
    "being {} is nothing to be ashamed of", "the survey asked {} voters", "a {} author won the prize this year",
    "{} families celebrate together", "resources for {} students", "as a {} woman I want to be heard", "news for {} readers",
    "{} artists of the last century", "the first {} mayor of the city", "we welcome {} guests", "my sister married a {} teacher",
    "a study of {} and other patients", "the {} club meets on Thursdays", "books by {} writers", "thank you to our {} volunteers",
)  # fmt: skip
HOSTILE = (
    "i hate {} people", "{} people are disgusting", "get rid of all {} scum", "all {} people should be shot",
    "shut up you stupid {} bitch", "{} people are vermin and criminals", "go back to where you came from you {} filth",
    "every {} idiot deserves a beating", "{} people ruin this country", "nobody wants you here you {} freak",
)  # fmt: skip


def identity_sentences() -> list[Example]:
    terms = sorted(IDENTITIES)
    return [
        *(Example(s.format(t), False, "identity") for t in terms for s in HARMLESS),
        *(Example(s.format(t), True, "identity") for t in terms for s in HOSTILE),
    ]


def tasks(data: Path) -> dict[str, list[Example]]:
    """Examples for the two models, without the prose."""
    toxic, hate = [], []
    for r in csv.DictReader(io.StringIO(_read(data / "tox_davidson" / "labeled_data.csv.gz"))):
        toxic.append(Example(r["tweet"], r["class"] != "2", "davidson"))
        if r["class"] != "1":
            hate.append(Example(r["tweet"], r["class"] == "0", "davidson"))
    hate += [
        Example(r["text"], r["label"] == "sexist", "edos") for r in _jsonl(data / "tox_edos" / "train_dev.jsonl.gz")
    ]
    rows = csv.DictReader(io.StringIO(_read(data / "tox_surge" / "toxicity_en.csv.gz")))
    toxic += [Example(r["text"], r["is_toxic"] == "Toxic", "surge") for r in rows]
    hate += [
        Example(r["text"], r["label"] == "hate", "toxigen")
        for r in _jsonl(data / "tox_toxigen_prompts" / "prompts.jsonl.gz")
    ]
    for r in _jsonl(data / "tox_wikipedia_nonfuzzed" / "testset.jsonl.gz"):
        toxic.append(Example(r["text"], r["toxic"] == "True", "wikipedia"))
    return {"toxicity_en": toxic, "hate_en": hate}


def toxicity(data: Path, out: Path | None) -> None:
    clean = prose(data)
    for name, examples in tasks(data).items():
        with tempfile.TemporaryDirectory() as folder:
            path = (out or Path(folder)) / f"{name}.bin"
            examples = [*examples, *identity_sentences()]
            found = train_and_measure([*examples, *clean], path, name=name, about=ABOUT[name])
            same = path.read_bytes() == (CLASSIFIERS_DIR / f"{name}.bin").read_bytes()
            print(
                f"\n{name}: {path.stat().st_size:,} bytes, {'equal to' if same else 'other than'} the model that ships"
            )
            print(f"  held-out tenth: AUC {found.auc:.3f}   by set:", _line(found.auc_by_source))
            for t in found.thresholds:
                print(f"  threshold {t.threshold:<5} precision {t.precision:.3f}  recall {t.recall:.3f}  F1 {t.f1:.3f}")
            print("  transfer (trained without a set, measured on all of it):")
            for left in sorted({e.source for e in examples} - {"identity"}):
                rest = [e for e in [*examples, *clean] if e.source != left]
                other = Path(folder) / "transfer.bin"
                train([e for e in rest if not is_held_out(e.text)], other)
                away = measure(other, [e for e in examples if e.source == left])
                home = found.auc_by_source.get(left, float("nan"))  # a small set may have no text held out
                print(f"    {left:<12} AUC {away.auc:.3f}   (in domain {home:.3f})")
            _identity_gap(data, path)
            held = [e.text for e in clean if is_held_out(e.text)]
            print(
                f"  clean prose held out: {np.mean(scores(path, held) >= 0.9):.2%} of {len(held):,} passages reach 0.9"
            )


def _identity_gap(data: Path, path: Path) -> None:
    """False positives on harmless template sentences, per identity term, against the overall rate."""
    rows = list(_jsonl(data / "bias_templates" / "en_8k.jsonl.gz"))
    texts, toxic = [r["phrase"] for r in rows], np.array([r["toxicity"] == "toxic" for r in rows])
    values = scores(path, texts)
    terms = Counter(w for t in texts for w in set(re.findall(r"\w+", t.lower())))
    groups = {
        t: np.array([t in re.findall(r"\w+", x.lower()) for x in texts])
        for t, n in terms.items()
        if n >= 60 and t in IDENTITIES
    }
    rate = float((values[~toxic] >= 0.5).mean())
    gaps = {t: float((values[g & ~toxic] >= 0.5).mean()) for t, g in groups.items() if (g & ~toxic).sum() >= 20}
    worst = sorted(gaps, key=lambda t: -gaps[t])
    print(f"  identity templates: AUC {auc(toxic, values):.3f}; false positives at 0.5 over all harmless ones {rate:.3f}; "
          f"largest: {', '.join(f'{t} {gaps[t]:.2f}' for t in worst[:8])}; smallest: "
          f"{', '.join(f'{t} {gaps[t]:.2f}' for t in worst[-4:])}")  # fmt: skip


IDENTITIES = frozenset(
    ["lesbian", "gay", "bisexual", "transgender", "trans", "queer", "lgbt", "lgbtq", "homosexual", "straight",
     "heterosexual", "male", "female", "man", "woman", "nonbinary", "african", "black", "white", "european",
     "hispanic", "latino", "latina", "latinx", "mexican", "canadian", "american", "asian", "indian", "chinese",
     "japanese", "christian", "muslim", "jewish", "buddhist", "catholic", "protestant", "sikh", "taoist", "old",
     "older", "young", "younger", "teenage", "millenial", "elderly", "blind", "deaf", "paralyzed", "middle",
     "eastern",]
)  # fmt: skip


def _line(by_source: object) -> str:
    assert isinstance(by_source, dict)
    return "  ".join(f"{s} {v:.3f}" for s, v in by_source.items() if v == v)


PII_KINDS = {
    "EMAIL_ADDRESS": "email", "IP_ADDRESS": "ip", "IBAN_CODE": "iban", "CREDIT_CARD": "card", "PHONE_NUMBER": "phone",
    "US_SSN": "ssn",
}  # fmt: skip


def pii(data: Path) -> None:
    right: Counter[str] = Counter()
    all_gold: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    called: Counter[str] = Counter()
    for row in _jsonl(data / "pii_presidio_v2" / "synth_v2.jsonl.gz"):
        hits = find(row["text"])
        gold = [(s["start"], s["end"], PII_KINDS[s["type"]]) for s in row["spans"] if s["type"] in PII_KINDS]
        for start, end, kind in gold:
            all_gold[kind] += 1
            right[kind] += any(h.kind == kind and h.start < end and h.end > start for h in hits)
        for h in hits:
            called[h.kind] += 1
            wrong[h.kind] += not any(h.start < end and h.end > start for start, end, _ in gold)
    print("\npersonal data (presidio-research synthetic sentences)")
    for kind in sorted(all_gold):
        n = all_gold[kind]
        print(
            f"  {kind:<8}{n:>5}  recall {right[kind] / n:.3f}  precision {1 - wrong[kind] / max(called[kind], 1):.3f}"
        )


def decontamination(data: Path) -> None:
    sets = data / "decon_evalsets"
    index = build_index((str(sets),), 13)
    items = list(read_items(sets))
    carriers = [t[i : i + 3_000] for t in books(data) for i in range(0, len(t), 3_000)]
    rng = random.Random(1)
    forms: dict[str, Callable[[str], str]] = {
        "verbatim": lambda t: t,
        "re-cased": lambda t: "".join(c.upper() if rng.random() < 0.5 else c.lower() for c in t),
        "re-punctuated": lambda t: re.sub(r"[^\w\s'’-]+", lambda m: rng.choice([" ", " ; ", " - ", " ... "]), t),
    }
    print(f"\ncontamination: {len(items):,} items of {len({i.name.rpartition('/')[0] for i in items})} sets; "
          f"{len(index.unreachable)} have under 8 words")  # fmt: skip
    for form, change in forms.items():
        texts = []
        for n, item in enumerate(items):
            carrier = carriers[n % len(carriers)]
            texts.append(f"{carrier[:1_500]}\n{change(' '.join(item.texts))}\n{carrier[1_500:]}")
        found: dict[int, set[str]] = defaultdict(set)
        for at in range(0, len(texts), 2_000):
            for text, _, _, gram in index.matches(TextBatch(texts[at : at + 2_000])).tolist():
                found[at + text].update(index.items_of([gram]))
        hit = sum(item.name in found[n] for n, item in enumerate(items))
        print(f"  planted {form:<14} found {hit / len(items):.2%}")
    for name, texts in (("books", carriers), ("wikitext", _articles(data))):
        matches = index.matches(TextBatch(texts))
        bad = sorted(set(matches[:, 0].tolist()))
        print(f"  dropped of {len(texts):,} passages of {name}: {len(bad)} ({len(bad) / len(texts):.3%})")
        for text in bad[:5]:
            rows = matches[matches[:, 0] == text]
            print(f"    {len(rows)} n-grams of {index.items_of(rows[:, 3].tolist())[:3]}")


def _articles(data: Path) -> list[str]:
    text = _read(data / "prose_wikitext2_valid" / "valid.txt.gz")
    return [p for p in text.split("\n") if len(p) > 200]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--train", type=Path, help="write the models and their cards here")
    parser.add_argument("--only", choices=["toxicity", "pii", "decontamination"])
    args = parser.parse_args()
    if args.only in (None, "toxicity"):
        toxicity(args.data, args.train)
    if args.only in (None, "pii"):
        pii(args.data)
    if args.only in (None, "decontamination"):
        decontamination(args.data)


if __name__ == "__main__":
    main()
