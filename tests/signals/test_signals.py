"""Kernels against plain Python: every number that a rule bounds is what its definition says, for any text."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.documents import Doc, Documents
from pipeline.core.registry import measure
from pipeline.core.spans import apply_spans
from pipeline.curate.build import build, builtin_rule_sets
from pipeline.curate.config import CurateConfig, SignalsConfig
from pipeline.edits.lines import c4_lines, odd_line, refinedweb_lines
from pipeline.text.batch import TextBatch, words_of
from pipeline.text.kernels.chars import CCNET_PUNCTUATION, char_tables

pytestmark = pytest.mark.usefixtures("kernels")

ALPHABET = st.sampled_from(
    [
        *"abcdeE zZ 012.,!?#-'’_(){}[]\n\n\n\t\r…•", "the ", "of ", "é", "Ä", "ß", "Σ", "ς", "и", "ि", "ह", "ा", "न्", "中",
        "日本", "の", "ไทย", "😀", "\u2028", "\x0b", "\x85", "\xa0", "\u200d", "...", "[1]", "[edit]", "lorem ipsum ",
        "JavaScript", "use cookies ", "same line here\n", "same line here\n\n",
    ]
)  # fmt: skip
TEXTS = st.lists(ALPHABET, max_size=60).map("".join)
WORD = regex.compile(
    r"[\p{L}\p{N}][\p{L}\p{N}\p{M}\u200c\u200d]*(?:['’\-‐][\p{L}\p{N}][\p{L}\p{N}\p{M}\u200c\u200d]*)*"
)
DENSE = regex.compile(r"[\p{Han}\p{Hiragana}\p{Thai}]")
TERMINAL = {c for c in map(chr, range(0x3000)) if char_tables()[0][ord(c)] & 1024}


def signals(texts: list[str], names: list[str], **tables: dict[str, Any]) -> list[dict[str, Any]]:
    curation = build(CurateConfig(gates=[]), SignalsConfig(tables), extra_signals=names)
    docs = Documents(Doc(i.to_bytes(16, "big"), t) for i, t in enumerate(texts))
    for first, params in curation.signal_params.items():
        measure(curation.signal(first), docs, params)
    return [d.signals for d in docs]


def folded(word: str) -> str:
    return "".join(c.lower() if len(c.lower()) == 1 else c for c in word).replace("ς", "σ").replace("’", "'")


@settings(max_examples=150, deadline=None)
@given(TEXTS.filter(lambda t: not DENSE.search(t)))
def test_words_are_runs_of_letters_digits_and_marks(text: str) -> None:
    assert words_of(text) == WORD.findall(text)


@settings(max_examples=150, deadline=None)
@given(TEXTS)
def test_tokens_are_what_the_expression_finds(text: str) -> None:
    batch = TextBatch([text])
    raw = batch.data.tobytes()
    t = batch.tokens
    found = [raw[a : a + n].decode() for a, n in zip(t.start.tolist(), t.size.tolist(), strict=True)]
    assert found == re.findall(r"\w+|[^\w\s]", text)
    assert t.chars.tolist() == [len(w) for w in found]
    assert len(set(t.hashes.tolist())) == len(set(found))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("今日は天気がいいですね。Python語も。", ["今日", "は", "天気", "が", "いい", "です", "ね", "Python", "語", "も"]),
        ("我喜欢学习自然语言处理", ["我", "喜欢", "学习", "自然", "语言", "处理"]),
        ("สวัสดีชาวโลก", ["สวัสดี", "ชาว", "โลก"]),
        ("हिन्दी में लिखा", ["हिन्दी", "में", "लिखा"]),
        ("well-kept don’t x's", ["well-kept", "don’t", "x's"]),
        ("𠀀𠀁 日本", ["𠀀", "𠀁", "日本"]),
    ],
)  # fmt: skip
def test_scripts_have_their_own_words(text: str, words: list[str]) -> None:
    assert words_of(text) == words


NGRAMS = [*(f"top_{n}gram_char_frac" for n in (2, 3, 4)), *(f"dup_{n}gram_char_frac" for n in range(5, 11))]


def expected_ngrams(words: list[str]) -> list[float]:
    total = max(sum(map(len, words)), 1)
    out = []
    for n in (2, 3, 4):
        counts = Counter(zip(*(words[i:] for i in range(n)), strict=False))
        best = max(counts.values(), default=0)
        longest = max((sum(map(len, g)) for g, c in counts.items() if c == best), default=0)
        out.append(min(best * longest / total, 1.0) if best > 1 else 0.0)
    for n in range(5, 11):
        seen: set[tuple[str, ...]] = set()
        covered = chars = 0
        for i in range(len(words) - n + 1):
            gram = tuple(words[i : i + n])
            if gram in seen:
                chars += sum(map(len, words[max(i, covered) : i + n]))
                covered = i + n
            seen.add(gram)
        out.append(chars / total)
    return out


def expected_datatrove(text: str) -> dict[str, float]:
    """datatrove's statistics from their descriptions, over `\\w+|[^\\w\\s]`."""
    words = re.findall(r"\w+|[^\w\s]", text)
    n = max(len(text), 1)
    out: dict[str, float] = {}
    for size in (2, 3, 4):
        grams = [" ".join(words[i : i + size]) for i in range(len(words) - size + 1)]
        gram, count = Counter(grams).most_common(1)[0] if grams else ("", 0)
        out[f"datatrove_top_{size}gram_char_frac"] = len(gram) * count / n
    for size in range(5, 11):
        seen: set[tuple[str, ...]] = set()
        chars = i = 0
        while i < len(words) - size + 1:
            g = tuple(words[i : i + size])
            if g in seen:
                chars += sum(map(len, g))
                i += size
            else:
                seen.add(g)
                i += 1
        out[f"datatrove_dup_{size}gram_char_frac"] = chars / n
    for name, parts in (("line", re.split("\n+", text)), ("paragraph", re.split(r"\n{2,}", text.strip()))):
        dup = [p for i, p in enumerate(parts) if p in parts[:i]]
        out[f"datatrove_dup_{name}_frac"] = len(dup) / len(parts)
        out[f"datatrove_dup_{name}_char_frac"] = sum(map(len, dup)) / n
    lines = text.splitlines()
    out["datatrove_bullet_line_frac"] = sum(s.lstrip().startswith(("•", "-")) for s in lines) / max(len(lines), 1)
    out["datatrove_ellipsis_line_frac"] = sum(s.rstrip().endswith(("...", "…")) for s in lines) / max(len(lines), 1)
    out["datatrove_ellipsis_ratio"] = (text.count("...") + text.count("…")) / max(len(words), 1)
    out["datatrove_alpha_word_frac"] = sum(any(map(str.isalpha, w)) for w in words) / max(len(words), 1)
    symbols = {*CCNET_PUNCTUATION, *TERMINAL, *map(chr, (*range(9), *range(11, 32), *range(127, 160)))}
    plain = [w for w in words if any(c not in symbols for c in w)]
    out["datatrove_word_count"] = len(plain)
    out["datatrove_mean_word_chars"] = sum(map(len, plain)) / max(len(plain), 1)
    kept = [s for s in text.split("\n") if s.strip()]
    m = max(len(kept), 1)
    out["fineweb_terminal_line_frac"] = sum(s[-1] in TERMINAL for s in kept) / m
    out["fineweb_short_line_frac"] = sum(len(s) <= 30 for s in kept) / m
    dup_chars = sum(len(s) for i, s in enumerate(kept) if s in kept[:i])
    out["fineweb_dup_line_char_frac"] = dup_chars / max(len(text.replace("\n", "")), 1)
    out["fineweb_newline_word_ratio"] = text.count("\n") / max(len(words), 1)
    return out


@settings(max_examples=120, deadline=None)
@given(st.lists(TEXTS, min_size=1, max_size=3))
def test_statistics_are_those_of_plain_python(texts: list[str]) -> None:
    names = ["word_count", "dup_line_frac", "line_count", "char_count", "stop_word_count", *NGRAMS[:1]]
    own = [
        *names,
        "datatrove_word_count",
        "datatrove_dup_line_frac",
        "datatrove_top_2gram_char_frac",
        "fineweb_line_count",
    ]
    for text, got in zip(texts, signals(texts, own), strict=True):
        words = words_of(text)
        lower = [folded(w) for w in words]
        n = max(len(words), 1)
        lines = [s for line in text.splitlines() if (s := line.strip())]
        paragraphs = [s for part in re.split(r"\n\s*\n", text) if (s := part.strip())]
        lengths = sorted(map(len, words))
        half = len(lengths) // 2
        median = (lengths[half] + lengths[~half]) / 2 if lengths else 0
        expected: dict[str, float] = {
            "word_count": len(words), "mean_word_chars": sum(lengths) / n, "median_word_chars": median,
            "max_word_chars": max(lengths, default=0),
            "alpha_word_frac": sum(any(map(str.isalpha, w)) for w in words) / n,
            "hash_word_ratio": text.count("#") / n, "ellipsis_word_ratio": (text.count("...") + text.count("…")) / n,
            "line_count": len(lines), "ellipsis_line_frac": sum(s.endswith(("...", "…")) for s in lines) / max(len(lines), 1),
            "char_count": len(text), "alnum_char_frac": sum(map(str.isalnum, text)) / max(len(text), 1),
            "digit_char_frac": sum(map(str.isdecimal, text)) / max(len(text), 1),
            "space_char_frac": sum(map(str.isspace, text)) / max(len(text), 1),
            "stop_word_count": len({"the", "be", "to", "of", "and", "that", "have", "with"} & set(lower)),
            "unique_word_frac": len(set(lower)) / n,
            **dict(zip(NGRAMS, expected_ngrams(lower), strict=True)), **expected_datatrove(text),
        }  # fmt: skip
        for name, parts in (("line", lines), ("paragraph", paragraphs)):
            dup = [p for i, p in enumerate(parts) if p in parts[:i]]
            expected[f"dup_{name}_frac"] = len(dup) / max(len(parts), 1)
            expected[f"dup_{name}_char_frac"] = sum(map(len, dup)) / max(sum(map(len, parts)), 1)
        for name, value in expected.items():
            assert got[name] == pytest.approx(value), name


def expected_c4(text: str, end_mark: bool) -> tuple[str, int]:
    kept, sentences = [], 0
    for line in text.splitlines():
        line = line.strip()
        words = line.split()
        if any(len(w) > 1000 for w in words):
            continue
        line = re.sub(r"\[\d*]|\[edit]|\[citation needed]", "", line)
        if end_mark and (not line.endswith((".", "?", "!", '"', "'")) or line.endswith("...")):
            continue
        low = line.lower()
        policy = ("terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies")
        if (
            len(words) < 3
            or "lorem ipsum" in low
            or "javascript" in low
            or "{" in line
            or any(p in low for p in policy)
        ):
            continue
        kept.append(line)
        sentences += len(re.findall(r"[.!?]+[\"')\]]*\s+(?=\S)", line)) + 1
    return "\n".join(kept), sentences


@settings(max_examples=200, deadline=None)
@given(TEXTS, st.booleans())
def test_c4_keeps_the_lines_that_it_says(text: str, end_mark: bool) -> None:
    kept, sentences = expected_c4(text, end_mark)
    edited, _ = apply_spans(text, c4_lines(Doc(b"0" * 16, text), end_mark=end_mark))
    assert edited == kept
    name = "c4_sentence_count" if end_mark else "c4_any_end_sentence_count"
    assert signals([text], [name])[0][name] == sentences


def test_a_word_of_a_thousand_and_one_characters_costs_its_line() -> None:
    text = "one two three.\nfour five " + "x" * 1001 + ".\nsix seven " + "y" * 999 + "."
    assert apply_spans(text, c4_lines(Doc(b"0" * 16, text)))[0] == "one two three.\nsix seven " + "y" * 999 + "."


@pytest.mark.parametrize(
    ("line", "odd"),
    [
        ("3 likes", True), ("1,204 comments", True), ("12K views", True), ("Home", True), ("SIGN UP TODAY FOR FREE", True),
        ("2024 - 11 - 12", True), ("Sign in to continue", True), ("3 items in cart", True),
        ("The story goes on. Read more...", True),
        ("He likes three of them.", False), ("The NASA probe landed in 2021.", False), ("", False),
        ("A long paragraph in which somebody has to sign in to read more than ten words of it.", False),
    ],
)  # fmt: skip
def test_refinedweb_finds_odd_lines(line: str, odd: bool) -> None:
    assert odd_line(line) is odd
    text = f"A first good line.\n{line}\nA last good line."
    edited, _ = apply_spans(text, refinedweb_lines(Doc(b"0" * 16, text)))
    assert edited == ("A first good line.\nA last good line." if odd else text)


def test_values_do_not_depend_on_the_batch() -> None:
    texts = ["The cat sat. " * 40, "日本語の文章です。" * 9, "", "a b c\n" * 30, "Ünïcödé wörds ünïcödé wörds " * 12]
    names = [n for s in builtin_rule_sets().values() for n in s.signals]
    needy = {"perplexity_bucket", "contaminated_ngram_count", "opt_out_count"}
    names = [n for n in names if n not in needy]
    together = signals(texts, names)
    assert together == [signals([t], names)[0] for t in texts]
    assert signals(list(reversed(texts)), names) == list(reversed(together))


def test_every_rule_set_has_its_signals_and_says_where_it_comes_from() -> None:
    sets = builtin_rule_sets()
    for name in ("gopher_quality", "gopher_repetition", "datatrove_gopher_quality", "datatrove_gopher_repetition", "c4",
                 "c4_any_end", "fineweb", "fineweb_paper", "refinedweb", "dclm_baseline", "nemo_english", "data_juicer",
                 "ccnet", "toxicity", "urls", "decontaminate", "mc4"):  # fmt: skip
        assert sets[name].source
    bounds = {
        name: next(r.max for r in sets[name].rules if r.reason == "dup_line_chars")
        for name in ("fineweb", "fineweb_paper")
    }
    assert bounds == {"fineweb": 0.01, "fineweb_paper": 0.1}
    tables: dict[str, dict[str, Any]] = {}
    usable = [n for n in sets if n not in ("language", "ccnet", "decontaminate")]
    build(CurateConfig(gates=usable), SignalsConfig(tables))


BOUNDED = """
import random
from pipeline.text.batch import TextBatch
from pipeline.models.ngram import load_ngram_model, train_ngram_model, save_ngram_model
from pipeline.core.registry import REGISTRY, measure
from pipeline.core.documents import Doc, Documents
from pipeline.curate.build import build
from pipeline.curate.config import CurateConfig, SignalsConfig
from pipeline.decontaminate.sets import gram_index
from pathlib import Path
import sys

rng = random.Random(1)
pieces = ["the ", "word ", ".", "...", "…", "\\n", "\\n\\n", "\\r\\n", "\\u2028", "é", "中", "日本", "ไทย", "😀", "[1]",
          "{", "don't ",
          "use cookies ", "</s> ", "__label__x ", " ", "\\u00a0", "x" * 1100]
texts = ["", " ", "\\n", "a", "é", "😀", "...", "[", "[1", "'", "a'", "word " * 40]
texts += ["".join(rng.choices(pieces, k=rng.randrange(60))) for _ in range(120)]
names = [n for n, d in REGISTRY.signals.items() if not d.requires and n == d.names[0]]
curation = build(CurateConfig(gates=["c4_lines"]), SignalsConfig(), extra_signals=names)
docs = Documents(Doc(i.to_bytes(16, "big"), t) for i, t in enumerate(texts))
for first, params in curation.signal_params.items():
    measure(REGISTRY.signals[first], docs, dict(params))
for doc in docs:
    list(curation.gates[0].call.edit.fn(doc, end_mark=bool(len(doc.text) % 2)))
gram_index([("a", (t,)) for t in texts], 13).matches(TextBatch(texts))
path = Path(sys.argv[1]) / "m.npz"
save_ngram_model(train_ngram_model(texts, order=4), path)
load_ngram_model(str(path)).perplexity(texts)
"""


def test_kernels_stay_inside_their_arrays(pytestconfig: pytest.Config, tmp_path: Path) -> None:
    cache = pytestconfig.rootpath / ".pytest_cache" / "numba-with-bounds-checks"
    environment = os.environ | {"NUMBA_BOUNDSCHECK": "1", "NUMBA_CACHE_DIR": str(cache)}
    command = [sys.executable, "-c", BOUNDED, str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
