"""Classifiers and language models: inference equal to the bindings, training that repeats itself, sums that are one."""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from pathlib import Path

import fasttext
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.documents import Doc, Documents
from pipeline.core.errors import DataError, RecipeError
from pipeline.core.registry import measure as measure_signals
from pipeline.curate.build import build
from pipeline.curate.config import CurateConfig, SignalsConfig
from pipeline.curate.files import CLASSIFIERS_DIR
from pipeline.models.classifier import Example, Settings, auc, measure, normalise, scores, train, train_and_measure
from pipeline.models.fasttext import FastText, load_fasttext
from pipeline.models.ngram import BEGIN, load_ngram_model, save_ngram_model, train_ngram_model
from pipeline.models.store import find_model
from pipeline.text.batch import TextBatch, words_of

pytestmark = pytest.mark.usefixtures("kernels")

SENTENCES = [
    "Der Hund läuft durch den Wald und sucht seinen Ball.", "Le chat dort sur le canapé du salon.", "今日は天気がいいですね。",
    "The quick brown fox jumps over the lazy dog.", "Это предложение написано по-русски.", "هذه جملة باللغة العربية.",
    "สวัสดีชาวโลก", "", "   ", "12345 67890", "__label__en hides a label", "word </s> after the end", "a\0b c\u00a0d\u2003e",
    "x" * 5000, "Esta é uma frase em português.", "😀😀😀",
]  # fmt: skip


def bindings(path: Path, texts: list[str]) -> list[tuple[str, float]]:
    model = fasttext.load_model(str(path))
    labels, values = model.predict([" ".join(t.split()) for t in texts], k=1)
    rows = zip(labels, values, strict=True)
    return [(r[0].removeprefix("__label__"), min(float(p[0]), 1.0)) if len(r) else ("und", 0.0) for r, p in rows]


def test_language_labels_are_those_of_the_bindings() -> None:
    path = find_model("lid.176")
    found, values = FastText(path).predict(TextBatch(SENTENCES))
    for text, label, value, (want, probability) in zip(
        SENTENCES, found, values, bindings(path, SENTENCES), strict=True
    ):
        assert label == want, text
        assert value == pytest.approx(probability, abs=1e-5)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(max_size=80), min_size=1, max_size=5))
def test_language_of_any_text_is_that_of_the_bindings(texts: list[str]) -> None:
    texts = [t.encode("utf-8", "ignore").decode().replace("\0", " ") for t in texts]
    path = find_model("lid.176")
    found, _ = load_fasttext(str(path)).predict(TextBatch(texts))
    assert found == [label for label, _ in bindings(path, texts)]


GOOD = ["the cell divides and each half carries a copy of the genome", "we prove that the sum converges for every positive number",
        "the treaty was signed after long negotiations between both states"]  # fmt: skip
BAD = ["buy cheap pills online now best price guaranteed click here", "win a free phone today click the link and sign up now",
       "hot deals best casino bonus no deposit click here now"]  # fmt: skip


def examples(n: int = 120) -> list[Example]:
    rng = np.random.default_rng(0)
    made = []
    for i in range(n):
        for texts, positive in ((GOOD, True), (BAD, False)):
            words = " ".join(texts).split()
            made.append(Example(" ".join(rng.choice(words, 12)) + f" {i}", positive, "toy"))
    return made


def test_training_gives_the_same_bytes_and_separates_classes(tmp_path: Path) -> None:
    s = Settings(buckets=5_000)
    train(examples(), tmp_path / "a.bin", s)
    train(examples(), tmp_path / "b.bin", s)
    assert (tmp_path / "a.bin").read_bytes() == (tmp_path / "b.bin").read_bytes()
    values = scores(tmp_path / "a.bin", ["the genome of each cell", "click here for cheap pills"])
    assert values[0] > 0.9
    assert values[1] < 0.1


def test_bindings_read_our_models_and_agree(tmp_path: Path) -> None:
    train(examples(), tmp_path / "m.bin", Settings(buckets=5_000, word_ngrams=3))
    model = fasttext.load_model(str(tmp_path / "m.bin"))
    texts = ["the sum of every positive number", "free casino bonus", "zzz unseen words ünïcödé", GOOD[0], BAD[1]]
    batch = normalise(texts)
    raw = batch.data.tobytes()
    flat = [raw[a:b].decode() for a, b in zip(batch.offsets, batch.offsets[1:], strict=False)]
    labels, values = model.predict(flat, k=2)
    ours = scores(tmp_path / "m.bin", texts)
    for row, p, value in zip(labels, values, ours, strict=True):
        assert dict(zip(row, p, strict=True))["__label__positive"] == pytest.approx(value, abs=2e-5)


def test_held_out_scores_and_card(tmp_path: Path) -> None:
    found = train_and_measure(
        examples(400), tmp_path / "q.bin", name="q", about="A toy.", settings=Settings(buckets=5_000)
    )
    assert found.auc > 0.99
    card = (tmp_path / "q.md").read_text()
    assert "A toy." in card
    assert "| toy | 400 | 400 |" in card
    assert json.loads((tmp_path / "q.json").read_text())["trained_on"] + found.texts == 800


def test_auc_counts_ties_half() -> None:
    positive = np.array([True, True, False, False])
    assert auc(positive, np.array([0.9, 0.5, 0.5, 0.1])) == pytest.approx(0.875)
    assert math.isnan(auc(np.array([True]), np.array([0.5])))


@pytest.mark.parametrize("content", [b"", b"not a model", b"\xba\x16\x4f\x2f\x0c\x00\x00\x00" + b"\0" * 20])
def test_a_broken_model_is_a_clear_error(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.bin"
    path.write_bytes(content)
    with pytest.raises(DataError, match=str(path)):
        FastText(path)


def test_a_truncated_model_is_a_clear_error(tmp_path: Path) -> None:
    whole = (CLASSIFIERS_DIR / "hate_en.bin").read_bytes()
    for n in (100, 5_000, len(whole) - 3):
        path = tmp_path / f"{n}.bin"
        path.write_bytes(whole[:n])
        with pytest.raises(DataError):
            FastText(path)


@pytest.mark.parametrize("name", ["toxicity_en", "hate_en"])
def test_shipped_models_are_small_and_have_a_card(name: str) -> None:
    path = CLASSIFIERS_DIR / f"{name}.bin"
    assert path.stat().st_size < 2_000_000
    assert json.loads(path.with_suffix(".json").read_text())["auc"] > 0.9
    assert "Limits" in path.with_suffix(".md").read_text()


def values_of(texts: list[str], names: list[str], **tables: dict[str, object]) -> Documents:
    curation = build(CurateConfig(gates=[]), SignalsConfig(dict(tables)), extra_signals=names)
    docs = Documents(Doc(i.to_bytes(16, "big"), t, language="en") for i, t in enumerate(texts))
    for first, params in curation.signal_params.items():
        measure_signals(curation.signal(first), docs, params)
    return docs


def test_toxic_passages_are_found_where_they_are() -> None:
    prose = "The committee met on Tuesday and agreed on a budget for the coming year.\n" * 9
    insult = "you stupid fucking bitch, shut up you piece of shit\n"
    clean, mixed, toxic = values_of([prose, prose + insult, insult * 3], ["toxicity", "obscene_word_count"])
    assert clean.signals["toxic_passage_frac"] == 0
    assert 0 < float(mixed.signals["toxic_passage_frac"] or 0) < 0.2
    assert float(mixed.signals["toxicity_max"] or 0) > 0.9
    assert toxic.signals["toxic_passage_frac"] == 1
    assert clean.signals["obscene_word_count"] == 0


def test_quality_signal_needs_a_model_and_reads_it(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="model: this has to be given"):
        values_of(["x"], ["quality"])
    train(examples(), tmp_path / "q.bin", Settings(buckets=5_000))
    good, bad = values_of([GOOD[0], BAD[0]], ["quality"], quality={"model": str(tmp_path / "q.bin")})
    assert float(good.signals["quality"] or 0) > 0.9 > 0.1 > float(bad.signals["quality"] or 0)
    with pytest.raises(RecipeError, match="no label 'fine'"):
        values_of(["x"], ["quality"], quality={"model": str(tmp_path / "q.bin"), "label": "fine"})


CORPUS = [
    "the cat sat\nthe dog sat down\na cat ran",
    "the cat ran far\na dog sat far away\nthe cat sat on the dog\nthe cat ran",
]


def naive_kneser_ney(lines: list[list[str]], order: int) -> dict[tuple[str, ...], float]:
    """Interpolated modified Kneser-Ney from its definition: p(w | context) for n-grams that occur, by recursion."""
    counts: list[Counter[tuple[str, ...]]] = [Counter() for _ in range(order + 1)]
    left: list[dict[tuple[str, ...], set[str]]] = [defaultdict(set) for _ in range(order + 1)]
    for line in lines:
        row = ["<s>", *line, "</s>"]
        for n in range(1, order + 1):
            for i in range(len(row) - n + 1):
                gram = tuple(row[i : i + n])
                counts[n][gram] += 1
                if i:
                    left[n][gram].add(row[i - 1])
    adjusted: list[dict[tuple[str, ...], float]] = [{}]
    for n in range(1, order + 1):
        adjusted.append(
            {
                g: float(c if n == order or g[0] == "<s>" else len(left[n][g]))
                for g, c in counts[n].items()
                if g != ("<s>",)
            }
        )
    vocabulary = {w for line in lines for w in line} | {"</s>", "<unk>"}

    def discounts(n: int) -> list[float]:
        of = Counter(adjusted[n].values())
        c = [of[i] for i in (1, 2, 3, 4)]
        if min(c) == 0:
            return [0.0, 0.5, 1.0, 1.5]
        y = c[0] / (c[0] + 2 * c[1])
        d = [i - (i + 1) * y * c[i] / c[i - 1] for i in (1, 2, 3)]
        return [0.0, *d] if all(0 <= d[i] <= i + 1 for i in range(3)) else [0.0, 0.5, 1.0, 1.5]

    table = [discounts(n) if n else [] for n in range(order + 1)]

    def p(gram: tuple[str, ...]) -> float:
        if not gram:
            return 1 / len(vocabulary)
        n, context = len(gram), gram[:-1]
        same = {g: c for g, c in adjusted[n].items() if g[:-1] == context}
        if not same:
            return p(gram[1:])
        total = sum(same.values())
        c = same.get(gram, 0.0)
        gamma = sum(table[n][min(int(v), 3)] for v in same.values()) / total
        return (c - table[n][min(int(c), 3)]) / total + gamma * p(gram[1:])

    found: dict[tuple[str, ...], float] = {}
    for line in lines:
        row = ["<s>", *line, "</s>"]
        for i in range(1, len(row)):
            found[tuple(row[max(0, i - order + 1) : i + 1])] = p(tuple(row[max(0, i - order + 1) : i + 1]))
    return found


@pytest.mark.parametrize("order", [2, 3, 4])
def test_kneser_ney_is_its_definition(order: int, tmp_path: Path) -> None:
    lines = [words_of(line) for text in CORPUS for line in text.split("\n")]
    expected = naive_kneser_ney(lines, order)
    save_ngram_model(train_ngram_model(CORPUS, order=order, min_count=1), tmp_path / "m.npz")
    model = load_ngram_model(str(tmp_path / "m.npz"))
    for line in lines:
        row = ["<s>", *line, "</s>"]
        total = sum(math.log10(expected[tuple(row[max(0, i - order + 1) : i + 1])]) for i in range(1, len(row)))
        (got,) = model.perplexity([" ".join(line)])
        assert got == pytest.approx(10 ** (-total / (len(row) - 1)), rel=1e-5)


def test_probabilities_sum_to_one_in_any_context(tmp_path: Path) -> None:
    from pipeline.models.kernels.ngram_lm import score

    save_ngram_model(train_ngram_model(CORPUS, order=3, min_count=1), tmp_path / "m.npz")
    m = load_ngram_model(str(tmp_path / "m.npz"))

    def log_p(words: list[int]) -> float:
        rows = score(
            np.array([0, len(words)]), np.array(words, np.int64), m.tables, m.indices, m.log_p, m.backoff, 3, BEGIN
        )
        return float(rows[0, 0])

    size = len(m.vocabulary) + 3
    for context in ([], [3], [4, 5], [5, 3], [0, 4], [3, 4, 5, 6]):
        before = log_p(context) if context else 0.0
        total = sum(10 ** (log_p([*context, w]) - before) for w in range(size) if w != BEGIN)
        assert total == pytest.approx(1, abs=1e-5)


def test_perplexity_buckets_follow_the_cut_points(tmp_path: Path) -> None:
    prose = ["The committee met on Tuesday and agreed on a budget for the coming year.\nThe members were pleased."] * 20
    web = [
        prose[0],
        "budget year click zzz",
        "zzz qqq xxx yyy vvv",
        prose[0] + " zzz",
        "aaa the bbb budget ccc committee",
        "the committee agreed",
    ]
    for name, content in (("en.npz", train_ngram_model(prose, cut_on=web)), ("plain.npz", train_ngram_model(prose))):
        save_ngram_model(content, tmp_path / name)
    docs = values_of([*web, ""], ["perplexity"], perplexity={"model": str(tmp_path / "en.npz")})
    assert [d.signals["perplexity_bucket"] for d in docs].count("head") == 2
    assert docs[0].signals["perplexity_bucket"] == "head"
    assert docs[2].signals["perplexity_bucket"] == "tail"
    assert docs[-1].signals["perplexity"] is None
    (by_folder, *_) = values_of(web, ["perplexity"], perplexity={"model": str(tmp_path)})
    assert by_folder.signals == docs[0].signals
    (uncut,) = values_of(web[:1], ["perplexity"], perplexity={"model": str(tmp_path / "plain.npz")})
    assert uncut.signals["perplexity_bucket"] is None
    (tmp_path / "bad.npz").write_bytes(b"PK not really")
    with pytest.raises(DataError, match="not a language model"):
        load_ngram_model(str(tmp_path / "bad.npz"))


def test_measure_reports_each_source(tmp_path: Path) -> None:
    train(examples(), tmp_path / "m.bin", Settings(buckets=5_000))
    found = measure(
        tmp_path / "m.bin", [Example(GOOD[0], True, "a"), Example(BAD[0], False, "a"), Example(GOOD[1], True, "b")]
    )
    by_source = found.auc_by_source
    assert by_source["a"] == 1
    assert math.isnan(by_source["b"])
