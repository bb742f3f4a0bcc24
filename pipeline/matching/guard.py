"""A match must not empty a source: false clusters have deleted whole collections elsewhere."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.core.dataset import Dataset
from pipeline.core.errors import StepError
from pipeline.matching.question import Corpus
from pipeline.matching.tables import sorter

MIN_DOCUMENTS = 100  # smaller hosts may well be mirrors
NAMED = 5


@dataclass(frozen=True)
class Losses:
    """Shares of the documents of a host, or of an input file, that a match may drop; 1.0 lets everything pass."""

    max_host_loss: float
    max_source_loss: float


def check_losses(gate: str, losses: Losses, corpus: Corpus, copies: Dataset, memory: int | None = None) -> None:
    """Stop where a match drops more than a share of the documents of a host, or of an input file.

    Args:
        gate: name of the match.
        copies: what it found.
        memory: bytes that sorting may take.

    Raises: StepError that names the hosts or files, an example for each, and what to do.
    """
    for group, share, setting in (
        ("host", losses.max_host_loss, "max_host_loss"),
        ("source", losses.max_source_loss, "max_source_loss"),
    ):
        lost = _losses(group, share, corpus, copies, memory) if share < 1.0 else []
        if lost:
            kind = {"host": "a host's", "source": "an input file's"}[group]
            listed = "; ".join(
                f"{name}: {gone:,} of {n:,} (such as {url}, a copy of {kept or 'a document of the index'})"
                for name, n, gone, url, kept in lost
            )
            raise StepError(
                f"{gate}: would drop more than {share:.0%} of {kind} documents: {listed}. If these are copies, run again "
                f"with --set curate.{setting}=1.0; what is done so far is kept."
            )


def _losses(
    group: str, share: float, corpus: Corpus, copies: Dataset, memory: int | None
) -> list[tuple[str, int, int, str, str | None]]:
    """(host or file, documents, dropped ones, address of one, address of its copy), the largest losses first."""
    files = {
        "data": [str(p) for p in corpus.documents.files("data")],
        "state": [str(p) for p in corpus.asked.files("state")],
        "copies": [str(p) for p in copies.files("copies")],
    }
    if not files["state"]:
        return []
    address = "coalesce(url, source || ' row ' || source_offset)"
    with sorter(copies.dir, memory) as connection:
        rows: list[tuple[str, int, int, str, str | None]] = connection.sql(
            f"""WITH facts AS (SELECT doc_id, {group} AS name, {address} AS url FROM read_parquet($data)),
                docs AS (
                    SELECT f.name, f.url, d.doc_id IS NOT NULL AS gone, k.url AS kept_url
                    FROM (SELECT doc_id FROM read_parquet($state)) s JOIN facts f USING (doc_id)
                    LEFT JOIN read_parquet($copies) d USING (doc_id)
                    LEFT JOIN facts k ON k.doc_id = d.kept_doc_id)
                SELECT name, count(*) AS n, count(*) FILTER (gone) AS gone, min(url) FILTER (gone) AS url,
                       arg_min(kept_url, url) FILTER (gone) AS kept_url
                FROM docs WHERE name <> '' GROUP BY name
                HAVING n >= {MIN_DOCUMENTS} AND gone > {share!r} * n ORDER BY gone DESC, name LIMIT {NAMED}""",
            params=files,
        ).fetchall()
    return rows
