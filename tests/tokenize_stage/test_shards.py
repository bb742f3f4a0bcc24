"""Token shards: order, mixture, provenance, reading, exports."""

from __future__ import annotations

import json
import struct
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from pipeline.core.dataset import Dataset, open_dataset
from pipeline.core.errors import RecipeError, UsageError
from pipeline.look.run import Run, open_run, table_of
from tests.command import winnow
from tests.conftest import article, run, write_jsonl
from tokenize_stage.config import TokenizeConfig
from tokenize_stage.evaluate import evaluate
from tokenize_stage.export import export
from tokenize_stage.gather import documents_of
from tokenize_stage.mix import epochs
from tokenize_stage.reader import TokenShards
from tokenize_stage.torch_data import TokenDataset
from tokenize_stage.vocabulary import load_tokenizer, tokenizer_file

BASE = (
    '[extract]\ninputs = ["texts"]\nshard_bytes = {shard}\n[curate]\ngates = []\n'
    "[tokenize]\nvocab_size = 400\nrow_tokens = 65\nvalidation_fraction = 0.2\ntest_fraction = 0.1\nshard_bytes = 20000\n"
)


def make(folder: Path, *sets: str, shard: int = 8_000, workers: int = 1, last: str = "tokenize") -> Run:
    """A run over 90 texts from three input files, one of which is half of everything."""
    sizes = {"a": 45, "b": 30, "c": 15}
    number = 0
    for name, n in sizes.items():
        rows = []
        for _ in range(n):
            rows.append(
                {"url": f"http://{name}{number % 3}.test/{number}", "text": f"Number {number}. {article(number)}"}
            )
            number += 1
        write_jsonl(folder / "texts" / f"{name}.jsonl", rows)
    (folder / "r.toml").write_text('name = "r"\n' + BASE.format(shard=shard))
    return run(folder / "r.toml", folder / "runs", sets=sets, workers=workers, last=last)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return make(tmp_path_factory.mktemp("plain"))


def texts_of_tokens(found: Run, split: str) -> Counter[str]:
    """The documents of a split, put together from their pieces in the rows, and how often each is there."""
    step = found.need("tokenize")
    pieces: dict[bytes, list[tuple[int, list[int]]]] = {}
    for path in step.files(split):
        table = pq.read_table(path)
        for row in table.to_pylist():
            ids = np.frombuffer(row["tokens"], step.manifest["dtype"])
            ends = [*row["doc_starts"][1:], row["n_tokens"]]
            for doc, start, end, at in zip(row["doc_ids"], row["doc_starts"], ends, row["doc_tokens"], strict=True):
                pieces.setdefault(doc, []).append((at, ids[start:end].tolist()))
    tokenizer = load_tokenizer(tokenizer_file(found.need("tokenizer")))
    eos = step.manifest["eos_id"]
    texts: Counter[str] = Counter()
    for parts in pieces.values():
        copies = sum(at == 0 for at, _ in parts)
        # copies of a document are cut alike: take each piece once
        whole = [t for _, ids in sorted({(at, tuple(ids)) for at, ids in parts}) for t in ids]
        assert whole[-1] == eos
        assert eos not in whole[:-1]
        texts[tokenizer.decode(whole[:-1])] = copies
    return texts


def test_every_document_is_in_one_split_once_and_whole(plain: Run) -> None:
    found = [texts_of_tokens(plain, s) for s in ("train", "validation", "test")]
    assert all(found)
    together = sum(found, Counter())
    assert together == Counter(table_of(plain.need("curate"), "data")["text"].to_pylist())
    counts = plain.need("tokenize").counts
    assert [counts[f"{s}_documents"] for s in ("train", "validation", "test")] == [len(f) for f in found]


def test_files_do_not_depend_on_shards_or_workers(plain: Run, tmp_path: Path) -> None:
    expected = plain.need("tokenize").file_hashes
    assert len(plain.need("tokenize").files("train")) > 2
    assert len(plain.need("extract").shards()) > 5
    for name, how in (("two", {"workers": 2}), ("one", {"shard": 10**7})):
        (tmp_path / name).mkdir()
        other = make(tmp_path / name, **how)  # type: ignore[arg-type]
        assert other.need("tokenize").file_hashes == expected
        assert other.need("tokenizer").file_hashes == plain.need("tokenizer").file_hashes


def test_documents_of_all_inputs_meet_in_every_file_and_the_seed_orders_them(plain: Run, tmp_path: Path) -> None:
    step = plain.need("tokenize")
    for path in step.files("train"):
        sources = {s for row in pq.read_table(path)["doc_sources"].to_pylist() for s in row}
        assert sources == {"a.jsonl", "b.jsonl", "c.jsonl"}
    assert make(tmp_path, "tokenize.seed=1").need("tokenize").file_hashes != step.file_hashes


@pytest.mark.parametrize("packing", ["concat", "pad"])
def test_other_packings_hold_the_same_documents(packing: str, plain: Run, tmp_path: Path) -> None:
    found = make(tmp_path, f"tokenize.packing={packing}")
    assert texts_of_tokens(found, "train") == texts_of_tokens(plain, "train")
    counts, best = found.need("tokenize").counts, plain.need("tokenize").counts
    assert (counts["train_padding"] < best["train_padding"]) is (packing == "concat")


def test_weights_decide_how_often_documents_come(plain: Run, tmp_path: Path) -> None:
    mixed = make(tmp_path, 'tokenize.weights={"c.*"=3.0, "b*"=0.0}', "tokenize.max_epochs=2.5")
    texts, before = texts_of_tokens(mixed, "train"), texts_of_tokens(plain, "train")
    source = {r["text"]: r["source"] for r in table_of(plain.need("curate"), "data", ["text", "source"]).to_pylist()}
    often = {name: [texts[t] for t in before if source[t] == name] for name in ("a.jsonl", "b.jsonl", "c.jsonl")}
    assert set(often["b.jsonl"]) == {0}
    assert set(often["c.jsonl"]) <= {2, 3}
    assert set(often["a.jsonl"]) <= {1, 2}
    assert texts_of_tokens(mixed, "validation") == texts_of_tokens(plain, "validation")
    with pytest.raises(RecipeError, match=r"'wiki\*' fits no source. There are: a.jsonl, b.jsonl, c.jsonl"):
        make(tmp_path, 'tokenize.weights={"wiki*"=2.0}')


SIZES = st.dictionaries(
    st.tuples(st.sampled_from("abcd"), st.sampled_from(["x", "y", "z", "w", "v"])), st.integers(1, 10**6), min_size=1
)


@settings(deadline=None)
@given(SIZES, st.floats(1, 5), st.floats(1, 6), st.dictionaries(st.sampled_from("abcd"), st.floats(0, 5)))
def test_mixture_keeps_the_total_and_its_bounds(
    sizes: dict[tuple[str, str], int], temperature: float, most: float, weights: dict[str, float]
) -> None:
    weights = {k: w for k, w in weights.items() if k in {s for s, _ in sizes}}
    config = TokenizeConfig(temperature=temperature, max_epochs=most, weights=weights)
    rates = epochs(config, sizes)
    assert all(0 <= r <= most * (1 + 1e-9) for r in rates.values())
    total, given_ = sum(sizes.values()), sum(n * rates[g] for g, n in sizes.items())
    room = sum(n * most for (s, _), n in sizes.items() if weights.get(s, 1.0) > 0)
    assert given_ == pytest.approx(min(total, room), rel=1e-6)


def test_temperature_and_host_caps() -> None:
    sizes = {("big", "h1"): 900, ("small", "h2"): 100}
    plain = epochs(TokenizeConfig(), sizes)
    assert list(plain.values()) == pytest.approx([1, 1])
    warm = epochs(TokenizeConfig(temperature=2.0), sizes)
    assert warm[("big", "h1")] * 900 == pytest.approx(3 * warm[("small", "h2")] * 100)
    many = {("s", f"h{i}"): 10 for i in range(9)} | {("s", "large"): 910}
    capped = epochs(TokenizeConfig(max_host_share=0.25), many)
    left = {g: capped[g] * n for g, n in many.items()}
    assert left[("s", "large")] == pytest.approx(0.25 * sum(left.values()))
    assert all(capped[g] == pytest.approx(1) for g in many if g[1] != "large")


@settings(deadline=None, max_examples=40)
@given(stops=st.lists(st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 5)), min_size=1, max_size=5))
def test_resume_with_any_number_of_ranks_reads_every_row_once(plain: Run, stops: list[tuple[int, int, int]]) -> None:
    """Each stop is (ranks, rows of a batch, steps): the position of the last batch is all that is kept."""
    shards = TokenShards(plain.need("tokenize"), "train", seed=7, window=2)
    position, seen = 0, []
    for world, rows, steps in stops:
        after = []
        for rank in range(world):
            taken = []
            reader = shards.batches(rows, position=position, rank=rank, world=world)
            for batch, _ in zip(reader, range(steps), strict=False):
                taken.append(batch)
            seen += [(position + (i * world + rank) * rows, b.ids) for i, b in enumerate(taken)]
            after.append(taken[-1].position)
        assert len(set(after)) == 1
        position = after[0]
    ordered = np.concatenate([ids for _, ids in sorted(seen, key=lambda pair: pair[0])])
    assert (ordered == shards.take(0, position)[0]).all()
    epoch = shards.order(0)
    assert sorted(epoch.tolist()) == list(range(shards.rows))


def test_an_epoch_ends_after_its_last_row(plain: Run) -> None:
    shards = TokenShards(plain.need("tokenize"), "train")
    for world in (1, 3):
        rows = [len(b.ids) for r in range(world) for b in shards.batches(5, rank=r, world=world, epochs=1)]
        assert sum(rows) == shards.rows
    with pytest.raises(UsageError, match="rank 2 of 2"):
        next(shards.batches(5, rank=2, world=2))


@pytest.mark.parametrize("workers", [0, 2])
def test_torch_loader_gives_the_same_rows(workers: int, plain: Run) -> None:
    step = plain.need("tokenize")
    dataset = TokenDataset(step.dir, "train", 4, seed=3, rank=1, world=2, epochs=1)
    items = list(DataLoader(dataset, batch_size=None, num_workers=workers))
    expected = list(TokenShards(step, "train", seed=3).batches(4, rank=1, world=2, epochs=1))
    assert [int(i["position"]) for i in items] == [b.position for b in expected]
    for item, batch in zip(items, expected, strict=True):
        assert torch.equal(item["input_ids"], torch.from_numpy(batch.ids))
    rest = TokenDataset(step.dir, "train", 4, seed=3, rank=1, world=2, epochs=1, position=int(items[1]["position"]))
    assert torch.equal(next(iter(rest))["input_ids"], items[2]["input_ids"])


def test_a_file_that_another_tool_wrote_is_read_too(plain: Run, tmp_path: Path) -> None:
    step = plain.need("tokenize")
    for path in step.files("train"):
        copy = tmp_path / path.relative_to(step.dir)
        copy.parent.mkdir(exist_ok=True, parents=True)
        pq.write_table(pq.read_table(path), copy, row_group_size=7)  # packed, with a dictionary
    other = TokenShards(Dataset(tmp_path, step.manifest), "train")
    mapped = TokenShards(step, "train")
    assert all(g.at >= 0 for g in mapped.groups)
    assert all(g.at < 0 for g in other.groups)
    rows = np.random.default_rng(0).integers(0, mapped.rows, 50)
    assert (mapped.read(rows)[0] == other.read(rows)[0]).all()
    flat = np.concatenate(
        [np.frombuffer(t, "<u2") for p in step.files("train") for t in pq.read_table(p)["tokens"].to_pylist()]
    )
    assert (mapped.read(rows)[0] == flat.reshape(mapped.rows, -1)[rows]).all()


def test_two_bytes_a_token(plain: Run) -> None:
    step = plain.need("tokenize")
    for path in step.files("train"):
        chunk = pq.read_metadata(path).row_group(0).column(0)
        rows = pq.read_metadata(path).row_group(0).num_rows
        assert (chunk.compression, chunk.path_in_schema) == ("UNCOMPRESSED", "tokens")
        assert 0 < chunk.total_compressed_size - 2 * 65 * rows < 100


def split_documents(found: Run, split: str) -> list[list[int]]:
    """Documents with their ends, in the order of the files."""
    eos = found.need("tokenize").manifest["eos_id"]
    return [
        [*part.ids[f : f + n - 1].tolist(), eos]
        for part in documents_of(found.need("tokenize"), split)
        for f, n in zip(part.first.tolist(), part.lengths.tolist(), strict=True)
    ]


def test_export_to_nanogpt(plain: Run, tmp_path: Path) -> None:
    done = export(plain.need("tokenize"), "nanogpt", tmp_path / "out")
    assert done["files"] == ["test.bin", "train.bin", "val.bin"]
    for split, name in (("train", "train"), ("validation", "val")):
        flat = np.memmap(tmp_path / "out" / f"{name}.bin", np.uint16, "r")  # as its train.py reads it
        assert flat.tolist() == [t for d in split_documents(plain, split) for t in d]
    assert export(plain.need("tokenize"), "nanogpt", tmp_path / "out") == done
    with pytest.raises(UsageError, match="holds another result"):
        export(plain.need("tokenize"), "megatron", tmp_path / "out")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").touch()
    with pytest.raises(UsageError, match="not a winnow result"):
        export(plain.need("tokenize"), "nanogpt", tmp_path / "mine")
    with pytest.raises(UsageError, match="no format 'tar'"):
        export(plain.need("tokenize"), "tar", tmp_path / "no")


def test_export_to_megatron(plain: Run, tmp_path: Path) -> None:
    export(plain.need("tokenize"), "megatron", tmp_path)
    documents = split_documents(plain, "train")
    raw = (tmp_path / "train.idx").read_bytes()
    assert raw[:9] == b"MMIDIDX\x00\x00"
    version, code, sequences, ends = struct.unpack_from("<QBQQ", raw, 9)
    assert (version, code, sequences, ends) == (1, 8, len(documents), len(documents) + 1)
    sizes = np.frombuffer(raw, "<i4", sequences, 34)
    places = np.frombuffer(raw, "<i8", sequences, 34 + 4 * sequences)
    assert np.frombuffer(raw, "<i8", ends, 34 + 12 * sequences).tolist() == list(range(ends))
    assert len(raw) == 34 + 12 * sequences + 8 * ends
    data = (tmp_path / "train.bin").read_bytes()
    found = [np.frombuffer(data, "<u2", n, p).tolist() for n, p in zip(sizes.tolist(), places.tolist(), strict=True)]
    assert found == documents


def test_megatron_reads_its_export(plain: Run, tmp_path: Path) -> None:
    module = pytest.importorskip("megatron.core.datasets.indexed_dataset", reason="megatron-core is not installed")
    export(plain.need("tokenize"), "megatron", tmp_path)
    data = module.IndexedDataset(str(tmp_path / "train"))
    assert [data[i].tolist() for i in range(len(data))] == split_documents(plain, "train")


def test_export_to_datatrove(plain: Run, tmp_path: Path) -> None:
    export(plain.need("tokenize"), "datatrove", tmp_path)
    documents = split_documents(plain, "train")
    assert np.fromfile(tmp_path / "train.ds", "<u2").tolist() == [t for d in documents for t in d]
    assert np.fromfile(tmp_path / "train.ds.index", "<u8").tolist() == np.cumsum([len(d) for d in documents]).tolist()
    name, total, _ = (tmp_path / "train.ds.metadata").read_text().split("\n")
    assert name.endswith("|2")
    assert int(total) == sum(map(len, documents))


def test_datatrove_reads_its_export(plain: Run, tmp_path: Path) -> None:
    module = pytest.importorskip("datatrove.utils.dataset", reason="datatrove is not installed")
    export(plain.need("tokenize"), "datatrove", tmp_path)
    flat = [t for d in split_documents(plain, "train") for t in d]
    data = module.DatatroveFileDataset(str(tmp_path / "train.ds"), seq_len=32, token_size=2)
    assert data[1]["input_ids"].tolist() == flat[33:66]


def test_export_in_the_layout_of_datasets(plain: Run, tmp_path: Path) -> None:
    export(plain.need("tokenize"), "hf", tmp_path)
    step = plain.need("tokenize")
    shards = TokenShards(step, "validation")
    table = pq.read_table(tmp_path / "data" / "validation-00000-of-00001.parquet")
    assert table["input_ids"].to_pylist() == shards.read(list(range(shards.rows)))[0].tolist()
    assert "path: data/train-*.parquet" in (tmp_path / "README.md").read_text()


def test_datasets_reads_its_export(plain: Run, tmp_path: Path) -> None:
    module = pytest.importorskip("datasets", reason="datasets is not installed")
    export(plain.need("tokenize"), "hf", tmp_path / "out")
    data = module.load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))
    shards = TokenShards(plain.need("tokenize"), "train")
    assert data["train"]["input_ids"][3] == shards.read([3])[0][0].tolist()
    assert data["validation"].num_rows == TokenShards(plain.need("tokenize"), "validation").rows


def test_mosaicml_streaming_reads_its_export(plain: Run, tmp_path: Path) -> None:
    module = pytest.importorskip("streaming", reason="mosaicml-streaming is not installed")
    export(plain.need("tokenize"), "mds", tmp_path)
    data = module.StreamingDataset(local=str(tmp_path / "train"), batch_size=1)
    shards = TokenShards(plain.need("tokenize"), "train")
    assert [data[i]["tokens"].tolist() for i in range(5)] == shards.read(list(range(5)))[0].tolist()


def test_litdata_reads_its_export(plain: Run, tmp_path: Path) -> None:
    module = pytest.importorskip("litdata", reason="litdata is not installed")
    export(plain.need("tokenize"), "litdata", tmp_path)
    data = module.StreamingDataset(str(tmp_path / "train"), item_loader=module.TokensLoader(block_size=65))
    shards = TokenShards(plain.need("tokenize"), "train")
    assert len(data) == shards.rows
    assert [data[i].tolist() for i in range(5)] == shards.read(list(range(5)))[0].tolist()


def test_exports_say_what_is_missing(plain: Run, tmp_path: Path) -> None:
    step = plain.need("tokenize")
    gone = Dataset(step.dir, {**step.manifest, "encoded": "../nowhere"})
    with pytest.raises(UsageError, match="encoded documents are gone"):
        export(gone, "nanogpt", tmp_path)
    done = winnow("export", plain.root, "--format", "hf", "--out", tmp_path / "hf")
    assert done.returncode == 0, done.stderr
    assert "rows" in done.stdout


@pytest.mark.parametrize("kind", ["word", "char"])
def test_words_and_characters_have_an_unknown(kind: str, plain: Run, tmp_path: Path) -> None:
    found = make(tmp_path, f"tokenize.kind={kind}", "tokenize.vocab_size=60")
    step = found.need("tokenize")
    assert step.manifest["engine"] == "tokenizers"
    told = evaluate(found.need("curate"), [tokenizer_file(r.need("tokenizer")) for r in (plain, found)])
    bpe, other = told.tokenizers
    assert (bpe.unknown_share, bpe.engine, other.model) == (0, "kernel", "WordLevel")
    assert 0 <= other.unknown_share < 1
    assert other.unknown_bytes_share == pytest.approx(1 - step.counts["train_bytes"] / text_bytes(found), abs=0.05)
    if kind == "word":
        assert other.unknown_share > 0.3


def text_bytes(found: Run) -> int:
    encoded = open_dataset(found.need("tokenize").dir / found.need("tokenize").manifest["encoded"])
    return int(encoded.counts["train_text_bytes"])


def test_evaluation_counts_what_is_there(plain: Run, tmp_path: Path) -> None:
    path = tokenizer_file(plain.need("tokenizer"))
    told = evaluate(plain.need("curate"), [path])
    (one,) = told.tokenizers
    tokens = open_dataset(plain.need("tokenize").dir / plain.need("tokenize").manifest["encoded"]).counts["tokens"]
    assert told.documents == 90
    assert one.bytes_per_token == pytest.approx(told.bytes / tokens)
    assert 0 < one.renyi_efficiency <= 1
    assert one.overlap == 1
    assert sum(h.tokens for h in one.hosts) == tokens
    spec = json.loads(path.read_text())
    del spec["model"]["merges"][-1]  # its token stays in the vocabulary: nothing makes it any more
    (tmp_path / "less.json").write_text(json.dumps(spec))
    less = evaluate(plain.need("curate"), [path, tmp_path / "less.json"]).tokenizers[1]
    assert less.unreached == one.unreached + 1
    assert next(g.why for g in less.glitch) == "unreached"
    out = tmp_path / "eval.json"
    done = winnow(
        "tokenizer",
        "eval",
        plain.need("curate").dir,
        "--tokenizer",
        path,
        "--tokenizer",
        tmp_path / "less.json",
        "--out",
        out,
    )
    assert done.returncode == 0, done.stderr
    assert "never reached" in done.stdout
    assert len(json.loads(out.read_text())["tokenizers"]) == 2


def test_a_given_tokenizer_is_taken(plain: Run, tmp_path: Path) -> None:
    path = tokenizer_file(plain.need("tokenizer"))
    found = make(tmp_path, f'tokenize.tokenizer="{path}"')
    assert found.need("tokenize").file_hashes == plain.need("tokenize").file_hashes
    with pytest.raises(UsageError, match="no such file"):
        make(tmp_path, 'tokenize.tokenizer="nowhere.json"')


def test_a_moved_run_is_still_whole(plain: Run, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(plain.root, tmp_path / "moved")
    moved = open_run(tmp_path / "moved")
    assert sum(len(p.lengths) for p in documents_of(moved.need("tokenize"), "test")) > 0
