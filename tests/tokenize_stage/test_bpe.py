"""Byte-pair encoding: split rules, training and ids against Hugging Face's `tokenizers`."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import Regex, Tokenizer, pre_tokenizers, trainers
from tokenizers.models import BPE

from pipeline.core.errors import DataError, RecipeError
from pipeline.text.batch import TextBatch
from tests.conftest import article
from tests.fuzz import fuzz
from tokenize_stage.bpe import WordCounts, train_bpe
from tokenize_stage.config import EOS, TokenizeConfig
from tokenize_stage.encode import choose_encoder, decode, encoder_of, parts_of
from tokenize_stage.kernels.bpe_train import train_merges
from tokenize_stage.kernels.pretokens import pretoken_ends
from tokenize_stage.splits import SPLITS, classes, classes_of_tokenizers
from tokenize_stage.vocabulary import byte_chars, end_of_text, facts_of, load_tokenizer, new_tokenizer, spellings

# what rules look at: cases, marks, digits of several scripts, line ends, contractions, scripts without spaces
ALPHABET = "abzABZ é'’sStTdDmlLrev \t\n\r\u3000\u00a0\u0301ſK日本あアーไทยก็ກမ१२3.,;!/-_#$€😀ǅʰसक्त\u200d<|>"
TEXTS = st.text(ALPHABET, max_size=60) | st.text(max_size=20)


def words(*texts: str, split: str = "cl100k") -> WordCounts:
    found = WordCounts()
    found.count(TextBatch(texts), SPLITS[split].rule)
    return found


@pytest.fixture(scope="session")
def corpus() -> list[str]:
    """Texts in several scripts, with runs and numbers."""
    rng = np.random.default_rng(1)
    parts = [
        "naïve café",
        "हिन्दी में",
        "日本語の文章です。",
        "ภาษาไทยไม่มี",
        "12345 67",
        "don't WE'LL",
        "-----",
        "    x = 1\n",
        "🙂🙂🙂🙂",
    ]
    return [article(i) + "".join(rng.choice(parts, 12)) for i in range(60)]


@pytest.fixture(scope="session")
def tokenizer_files(corpus: list[str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A trained tokenizer for every split rule."""
    folder = tmp_path_factory.mktemp("tokenizers")
    for name in SPLITS:
        config = TokenizeConfig(vocab_size=600, split=name, special_tokens=["<|user|>"])  # type: ignore[arg-type]
        train_bpe(config, words(*corpus, split=name)).save(str(folder / f"{name}.json"))
    return {name: folder / f"{name}.json" for name in SPLITS}


def test_classes_are_those_of_the_installed_tokenizers() -> None:
    assert (classes() == classes_of_tokenizers()).all(), "run: python -m tokenize_stage.splits"


@pytest.mark.parametrize("name", sorted(SPLITS))
def test_splits_are_those_of_the_regular_expression(name: str) -> None:
    rule = SPLITS[name]
    reference = (
        pre_tokenizers.Split(Regex(rule.pattern), "isolated")
        if rule.pattern
        else pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    )

    @settings(max_examples=300, deadline=None)
    @given(TEXTS)
    @example("  'S\n\n  x12345''LL Ab.\r\n/日本日本日本日本日本ก็ก็ก็ก็ก็ก็ก็ก็ก็ IPhoneXs a\u0301B \u0301")
    def check(text: str) -> None:
        at = np.cumsum([0, *(len(c.encode()) for c in text)])
        expected = [int(at[end]) for _, (_, end) in reference.pre_tokenize_str(text)]
        found = pretoken_ends(np.frombuffer(text.encode(), np.uint8), classes(), rule.rule)
        assert found.tolist() == expected

    check()


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=60), st.sampled_from(sorted(SPLITS)))
def test_any_bytes_are_cut_into_pieces_without_a_gap(data: bytes, name: str) -> None:
    ends = pretoken_ends(np.frombuffer(data, np.uint8), classes(), SPLITS[name].rule).tolist()
    assert ends == sorted(set(ends))
    assert (ends[-1] if ends else 0) == len(data)


def test_counts_are_those_of_the_pieces_in_any_portions(corpus: list[str]) -> None:
    whole, parts = words(*corpus), WordCounts()
    for text in corpus:
        parts.count(TextBatch([text]), SPLITS["cl100k"].rule)
    again = WordCounts()
    flat, offsets, counts = whole.words()
    bounds = offsets.tolist()
    raw = [flat[a:b].tobytes() for a, b in pairwise(bounds)]
    again.add(pa.array(raw, pa.binary()), pa.array(counts))

    def table(found: WordCounts) -> dict[bytes, int]:
        f, o, c = found.words()
        return {f[a:b].tobytes(): n for a, b, n in zip(o[:-1].tolist(), o[1:].tolist(), c.tolist(), strict=True)}

    splitter = pre_tokenizers.Split(Regex(SPLITS["cl100k"].pattern), "isolated")
    expected: dict[bytes, int] = {}
    for text in corpus:
        for piece, _ in splitter.pre_tokenize_str(text):
            expected[piece.encode()] = expected.get(piece.encode(), 0) + 1
    assert table(whole) == table(parts) == table(again) == expected


@pytest.mark.parametrize("name", sorted(SPLITS))
def test_vocabulary_and_merges_are_those_of_tokenizers(name: str, corpus: list[str]) -> None:
    ours = train_bpe(TokenizeConfig(vocab_size=900, split=name), words(*corpus, split=name))  # type: ignore[arg-type]
    theirs = new_tokenizer(SPLITS[name], BPE())
    theirs.train_from_iterator(
        iter(corpus),
        trainers.BpeTrainer(
            vocab_size=900,
            min_frequency=2,
            special_tokens=[EOS],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    one, two = (json.loads(t.to_str()) for t in (ours, theirs))
    assert one["model"]["merges"] == two["model"]["merges"]
    assert one["model"]["vocab"] == two["model"]["vocab"]
    assert one["pre_tokenizer"] == two["pre_tokenizer"]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.text("ab", min_size=1, max_size=12), st.integers(1, 30)), min_size=1, max_size=12),
    st.integers(1, 4),
)
def test_merges_of_few_letters_are_those_of_tokenizers(counted: list[tuple[str, int]], least: int) -> None:
    """Runs and ties: where several merges spell one token, too."""
    texts = [w for w, n in counted for _ in range(n)]
    theirs = Tokenizer(BPE())
    theirs.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    theirs.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=300, min_frequency=least, special_tokens=[EOS],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False,
        ),
    )  # fmt: skip
    config = TokenizeConfig(vocab_size=300, min_frequency=least, split="gpt2")
    ours = train_bpe(config, words(*texts, split="gpt2"))
    one, two = (json.loads(t.to_str())["model"] for t in (ours, theirs))
    assert one["vocab"] == two["vocab"]
    assert one["merges"] == two["merges"]


def test_a_token_that_two_merges_spell_is_one() -> None:
    ids = np.array([1, 2, 3], np.uint16)  # a, b, c
    rows = [("abc", 10), ("ab", 20), ("bc", 15), ("xbc", 0)]
    texts = [(r, n) for r, n in rows if n]
    symbols = np.concatenate([ids[[ord(c) - 97 for c in w]] for w, _ in texts])
    starts = np.cumsum([0, *(len(w) for w, _ in texts)])
    spelled = np.array([[7, 0], [11, 1], [13, 1], [17, 1]], np.uint64)
    merges = train_merges(symbols, starts.astype(np.int64), np.array([n for _, n in texts]), spelled, 4, 8, 1)
    assert merges[:, 2].tolist() == [4, 5, 6]
    assert merges[:, :2].tolist() == [[1, 2], [2, 3], [4, 3]]


@pytest.mark.parametrize("name", sorted(SPLITS))
def test_ids_are_those_of_tokenizers_and_decode_to_the_text(name: str, tokenizer_files: dict[str, Path]) -> None:
    path = tokenizer_files[name]
    kernel, reference = encoder_of(path, "kernel"), encoder_of(path, "tokenizers")

    @settings(max_examples=150, deadline=None)
    @given(st.lists(TEXTS, max_size=5))
    @example([f"a {EOS} b <|user|>", "", "x" * 300, "日本" * 200, "ab" * 90 + "é" * 40])
    def check(texts: list[str]) -> None:
        batch = TextBatch(texts)
        ids, ends = kernel.encode(batch)
        expected, expected_ends = reference.encode(batch)
        assert ends.tolist() == expected_ends.tolist()
        assert ids.tolist() == expected.tolist()
        assert decode(path, ids) == batch.data.tobytes()

    check()


@fuzz
@given(data=st.binary(max_size=300))
def test_any_bytes_come_back(data: bytes, tokenizer_files: dict[str, Path]) -> None:
    for path in tokenizer_files.values():
        batch = TextBatch.raw(np.frombuffer(data, np.uint8), np.array([0, len(data)], np.int64))
        ids, _ = encoder_of(path, "kernel").encode(batch)
        assert decode(path, ids) == data


def test_a_word_of_a_million_letters(tokenizer_files: dict[str, Path]) -> None:
    rng = np.random.default_rng(0)
    text = "".join(rng.choice(list("abcdefgh"), 1_300_000)) + " end"
    batch = TextBatch([text, "b" * 5_000, text])
    path = tokenizer_files["cl100k"]
    ids, ends = encoder_of(path, "kernel").encode(batch)
    assert ends[0] > 1 << 19
    assert ids[: ends[0]].tolist() == ids[ends[1] :].tolist()
    assert decode(path, ids) == batch.data.tobytes()
    expected, _ = encoder_of(path, "tokenizers").encode(TextBatch([text]))
    assert ids[: ends[0]].tolist() == expected.tolist()
    counted = words(text, "b" * 5_000)
    _, offsets, counts = counted.words()
    assert sorted(np.diff(offsets).tolist()) == [4, 5_000, 1_300_000]
    assert counts.tolist() == [1, 1, 1]


def test_special_tokens_in_a_text_are_text(tokenizer_files: dict[str, Path]) -> None:
    tokenizer = load_tokenizer(tokenizer_files["o200k"])
    eos = end_of_text(tokenizer)
    ids, _ = encoder_of(tokenizer_files["o200k"], "kernel").encode(TextBatch([f"x{EOS}<|user|>"]))
    assert eos not in ids
    assert tokenizer.token_to_id("<|user|>") not in ids
    assert facts_of(tokenizer_files["o200k"]).lengths[eos] == 0


def test_whole_words_are_taken_where_a_tokenizer_says_so(tokenizer_files: dict[str, Path], tmp_path: Path) -> None:
    spec = json.loads(tokenizer_files["cl100k"].read_text())
    spec["model"]["ignore_merges"] = True
    spec["model"]["vocab"]["Ġfoobar"] = len(spec["model"]["vocab"])  # no merges lead to it
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(spec))
    texts = ["a foobar and foobars", "the garden"]
    kernel, reference = encoder_of(path, "kernel"), encoder_of(path, "tokenizers")
    assert kernel.encode(TextBatch(texts))[0].tolist() == reference.encode(TextBatch(texts))[0].tolist()
    assert spec["model"]["vocab"]["Ġfoobar"] in kernel.encode(TextBatch(texts))[0]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"normalizer": {"type": "NFC"}}, "normalizer"),
        ({"pre_tokenizer": {"type": "Whitespace"}}, "how it splits"),
        ({"added_tokens": [{"id": 5, "content": "zz", "single_word": False, "lstrip": False, "rstrip": False,
                            "normalized": False, "special": False}]}, "added tokens"),
    ],
)  # fmt: skip
def test_what_the_kernel_does_not_know_is_left_to_tokenizers(
    change: dict[str, object], why: str, tokenizer_files: dict[str, Path], tmp_path: Path
) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps({**json.loads(tokenizer_files["gpt2"].read_text()), **change}))
    encoder, reason = choose_encoder(path, ["The garden in spring."])
    assert encoder.name != "kernel"
    assert why in reason
    assert why in str(parts_of(path))


def test_fastokens_takes_what_the_kernel_does_not_know(tokenizer_files: dict[str, Path], tmp_path: Path) -> None:
    pytest.importorskip("fastokens", reason="fastokens is not installed")
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps({**json.loads(tokenizer_files["cl100k"].read_text()), "normalizer": {"type": "NFC"}}))
    texts = ["e\u0301 garden", f"x {EOS}", "", "日本 12345"]
    encoder, reason = choose_encoder(path, texts)
    assert encoder.name == "fastokens"
    assert "normalizer" in reason
    found, expected = encoder.encode(TextBatch(texts)), encoder_of(path, "tokenizers").encode(TextBatch(texts))
    assert [x.tolist() for x in found] == [x.tolist() for x in expected]


def test_other_ids_than_those_of_tokenizers_are_not_used(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    """A rule that cuts otherwise than its expression says: the sample finds it."""
    from tokenize_stage import encode, splits

    path = tmp_path / "tokenizer.json"
    train_bpe(TokenizeConfig(vocab_size=300), words("123 456 " * 50)).save(str(path))
    assert choose_encoder(path, ["123 456"])[0].name == "kernel"
    path.write_text(path.read_text() + "\n")  # other bytes, so that nothing is remembered of it
    wrong = splits.Split("cl100k", SPLITS["cl100k"].pattern, "", SPLITS["digits"].numbers)
    monkeypatch.setattr(encode, "split_of_pattern", lambda pattern: wrong)
    encoder, reason = choose_encoder(path, ["No number here.", "1234567", "the"])
    assert encoder.name != "kernel"
    assert "'1234567'" in reason
    assert "the kernel is not used" in caplog.text


def test_spellings_and_the_end(tokenizer_files: dict[str, Path], tmp_path: Path) -> None:
    tokenizer = load_tokenizer(tokenizer_files["gpt2"])
    found = spellings(tokenizer)
    assert found[end_of_text(tokenizer)] == b""
    assert sorted(w for w in found if len(w) == 1) == [bytes([b]) for b in range(256)]
    assert len(set(byte_chars())) == 256
    bare = Tokenizer(BPE({"a": 0}, []))
    bare.save(str(tmp_path / "t.json"))
    assert facts_of(tmp_path / "t.json").eos == -1
    with pytest.raises(DataError, match="which ends every document"):
        end_of_text(bare)
    (tmp_path / "t.json").write_text("{}")
    with pytest.raises(DataError, match="not a tokenizer"):
        load_tokenizer(tmp_path / "t.json")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"vocab_size": 257, "special_tokens": ["<|x|>"]}, "below 258"),
        ({"special_tokens": [EOS]}, "stands twice"),
        ({"test_fraction": 0.96}, "nothing to train on"),
        ({"temperature": 0.5}, "below 1.0"),
        ({"max_host_share": 0.0}, "not between"),
        ({"weights": {"a": -1.0}}, "negative"),
        ({"row_tokens": 1}, "input/target pair"),
    ],
)
def test_values_that_make_no_sense_are_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        TokenizeConfig(**values)  # type: ignore[arg-type]
