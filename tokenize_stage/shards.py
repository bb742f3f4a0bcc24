"""Text → token shards: encode, mix and shuffle, pack, write with provenance. Two passes over the tokens.

    encode    each shard of documents: ids of all texts in one flat file, and a row for every document
    route     how often each document comes, and into which output file: by a hash of its id, so that documents of all
              shards meet; only numbers, no tokens
    tokenize  each output file: its documents from all shards in the order of their hash, packed, rows shuffled

Which file a document goes to, the order there and that of the rows depend on the seed and on doc_ids alone, never on how
the input is cut into shards or on workers. Memory is that of one output file, `shard_bytes` of text.
"""

from __future__ import annotations

from pathlib import Path

from pipeline.core.bench import Bench
from pipeline.core.dataset import Dataset, Source
from pipeline.core.errors import StepError
from pipeline.core.files import sha256_file
from tokenize_stage.config import TokenizeConfig
from tokenize_stage.encode_step import encode
from tokenize_stage.pack_step import pack_files
from tokenize_stage.route_step import route, routing_of


def tokenize(config: TokenizeConfig, documents: Dataset, tokenizer: Path, bench: Bench) -> Dataset:
    """Encode, mix, shuffle and pack a dataset into token shards, a folder per split.

    The encoded documents and their routes stay in the bench's work folder: `winnow export` reads them too.

    Raises: StepError if the train or the validation split comes out empty; DataError if the tokenizer lacks an
        end-of-text token; RecipeError if a weight fits no source.
    """
    source = Source(tokenizer, sha256_file(tokenizer), "tokenizer.json")
    encoded = encode(config, documents, source, bench.scratch)
    routing = routing_of(config, encoded)
    routed = route(config, routing, encoded, bench.scratch)
    made = pack_files(config, routing, documents, encoded, routed, source, bench)
    for name in ("train", "validation"):
        if not made.counts.get(f"{name}_rows"):
            raise StepError(
                f"tokenize: the {name} split is empty ({encoded.counts['rows_in']:,} documents in). Choose another "
                "tokenize.validation_fraction, or split_by = 'document' if there are few hosts."
            )
    return made
