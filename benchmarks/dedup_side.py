"""Runs a peer's near-copy removal in an environment of its own: Parquet in, Parquet out. Started by dedup.py.

    python dedup_side.py datatrove-stock|datatrove-regex|text-dedup IN.parquet OUT_FOLDER

14 bands of 8 rows over word 5-grams, as winnow's defaults. Prints one JSON line: {"cpu": seconds after the imports,
"kept": ids of the documents that are left, "peak": bytes, "version": ...}.
"""

import importlib.metadata
import json
import os
import re
import resource
import sys
import time
from pathlib import Path
from typing import Any

from measuring import peak_bytes

BANDS, ROWS, SHINGLE = 14, 8, 5


def datatrove(how: str, source: Path, out: Path) -> tuple[float, str]:
    from datatrove.pipeline.dedup import (
        MinhashConfig,
        MinhashDedupBuckets,
        MinhashDedupCluster,
        MinhashDedupFilter,
        MinhashDedupSignature,
    )
    from datatrove.pipeline.dedup import minhash as module
    from datatrove.pipeline.readers import ParquetReader
    from datatrove.pipeline.writers import ParquetWriter
    from datatrove.utils.hashing import HashConfig

    if how == "regex":
        words = re.compile(r"\w+|[^\w\s]")

        class Splitter:
            def word_tokenize(self, text: str) -> list[str]:
                return words.findall(text)

        module.load_word_tokenizer = lambda language: Splitter()
    config = MinhashConfig(
        n_grams=SHINGLE, num_buckets=BANDS, hashes_per_bucket=ROWS, hash_config=HashConfig(precision=64)
    )

    def read() -> Any:
        reader = ParquetReader(str(source.parent), glob_pattern=source.name, text_key="text", id_key="id")
        return reader.run(None, 0, 1)

    folders = [str(out / n) for n in ("signatures", "buckets", "clusters", "kept")]
    began = time.process_time()
    MinhashDedupSignature(folders[0], config).run(read(), 0, 1)
    for bucket in range(BANDS):
        MinhashDedupBuckets(folders[0], folders[1], config=config).run(None, bucket, BANDS)
    MinhashDedupCluster(folders[1], folders[2], config).run(None, 0, 1)
    writer = ParquetWriter(folders[3], compression="zstd")
    for _ in writer.run(MinhashDedupFilter(folders[2]).run(read(), 0, 1), 0, 1):
        pass
    return time.process_time() - began, "datatrove"


def text_dedup(source: Path, out: Path) -> tuple[float, str]:
    from text_dedup import minhash

    began = time.process_time()
    arguments = [
        "--path", "parquet", "--data_files", str(source), "--split", "train", "--cache_dir", str(out / "cache"),
        "--output", str(out / "made"), "--column", "text", "--batch_size", "10000", "--num_perm", str(BANDS * ROWS),
        "--b", str(BANDS), "--r", str(ROWS), "--ngram", str(SHINGLE), "--hash_func", "xxh3", "--num_proc", "1",
    ]  # fmt: skip
    minhash.main(arguments, standalone_mode=False)
    from datasets import load_from_disk

    load_from_disk(str(out / "made")).to_parquet(str(out / "kept.parquet"))
    return time.process_time() - began, "text-dedup"


def main() -> None:
    tool, source, out = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    real = os.dup(1)
    os.dup2(2, 1)  # what the tools print belongs to stderr
    import pyarrow.parquet as pq

    seconds, package = datatrove(tool[10:], source, out) if tool != "text-dedup" else text_dedup(source, out)
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds += usage.ru_utime + usage.ru_stime
    files = sorted(out.glob("kept*/*.parquet")) or [out / "kept.parquet"]
    kept = [i for f in files for i in pq.read_table(f, columns=["id"])["id"].to_pylist()]
    peak = peak_bytes()
    version = importlib.metadata.version(package)
    os.write(real, json.dumps({"cpu": seconds, "kept": kept, "peak": peak, "version": version}).encode())


if __name__ == "__main__":
    main()
