"""A match must not empty a source: false clusters have deleted whole collections elsewhere."""

from __future__ import annotations

import duckdb

from pipeline.core.dataset import Dataset
from pipeline.core.errors import StepError

MIN_DOCUMENTS = 100  # smaller hosts may well be mirrors
NAMED = 5


def check_losses(gate: str, previous: Dataset, found: Dataset, max_share: float) -> None:
    """Stop where a match drops more than a share of a host's documents.

    Args:
        gate: name of the match.
        previous: the pass before it. found: its `drops`.
        max_share: of the documents of a host that reached the match; 1.0 lets everything pass.

    Raises: StepError that names the hosts, an example for each, and what to do.
    """
    if max_share >= 1.0:
        return
    files = {
        "state": [str(p) for p in previous.files("state")],
        "signals": [str(p) for p in previous.files("signals")],
        "drops": [str(p) for p in found.files("drops")],
    }
    connection = duckdb.connect()
    try:
        rows = connection.sql(
            f"""WITH docs AS (
                    SELECT s.doc_id, g.host, g.url, d.doc_id IS NOT NULL AS gone, k.url AS kept_url
                    FROM read_parquet($state) s
                    JOIN (SELECT doc_id, host, url FROM read_parquet($signals, union_by_name=true)) g USING (doc_id)
                    LEFT JOIN read_parquet($drops) d USING (doc_id)
                    LEFT JOIN (SELECT doc_id, url FROM read_parquet($signals, union_by_name=true)) k
                        ON k.doc_id = d.kept_doc_id)
                SELECT host, count(*) AS n, count(*) FILTER (gone) AS gone, min(url) FILTER (gone) AS url,
                       arg_min(kept_url, url) FILTER (gone) AS kept_url
                FROM docs WHERE host <> '' GROUP BY host
                HAVING n >= {MIN_DOCUMENTS} AND gone > {max_share!r} * n ORDER BY gone DESC, host LIMIT {NAMED}""",
            params=files,
        ).fetchall()
    finally:
        connection.close()
    if rows:
        listed = "; ".join(
            f"{host}: {gone:,} of {n:,} (such as {url}, a copy of {kept})" for host, n, gone, url, kept in rows
        )
        raise StepError(
            f"{gate}: would drop more than {max_share:.0%} of a host's documents: {listed}. If these are copies, run again "
            "with --set curate.max_host_loss=1.0; what is done so far is kept."
        )
