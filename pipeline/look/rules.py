"""How the rules of a run work together: what each drops, what it alone drops, and which two drop the same."""

from __future__ import annotations

from typing import Any

from pipeline.core.sql import database
from pipeline.look.explain import rules_of
from pipeline.look.run import Run
from pipeline.look.whatif import condition, load_documents


def rule_table(run: Run, *, top_pairs: int = 15) -> dict[str, Any]:
    """Unique kills and overlap of all rules of a run, over every document that was measured.

    Returns:
        {"documents", "rules": [{gate, reason, signal, fails, bytes, unique, unique_bytes}], "pairs": [{a, b, both,
        jaccard}]}. `unique` counts documents that fail this rule and no other of the run, and that no gate without
        rules (an edit, a match) dropped: without this rule they would be in the data. `jaccard` is documents that
        fail both rules / documents that fail either.

    Raises: UsageError if the run has no sealed curate step.
    """
    curate = run.need("curate")
    rules = [(gate, r) for gate, each in rules_of(curate) for r in each]
    by_rules = {gate for gate, _ in rules}
    others = [g["name"] for g in curate.params["gates"] if g["name"] not in by_rules]
    with database() as connection:
        load_documents(connection, curate, [r.signal for _, r in rules])
        flags = ", ".join(f"NOT coalesce({condition(r)}, true) AS f{i}" for i, (_, r) in enumerate(rules))
        total = " + ".join(f"f{i}::INT" for i in range(len(rules))) or "0"
        listed = ", ".join("'" + o.replace("'", "''") + "'" for o in others) or "''"
        connection.execute(
            f"CREATE TABLE flags AS SELECT *, {total} AS n FROM (SELECT bytes, before IN ({listed}) AS other, {flags} FROM docs)"
        )
        counts = connection.sql("SELECT count(*) FROM flags").fetchall()[0][0]
        rows: list[dict[str, Any]] = []
        for i, (gate, rule) in enumerate(rules):
            found = connection.sql(
                f"SELECT count(*), coalesce(sum(bytes), 0), count(*) FILTER (n = 1 AND other IS NOT TRUE), "
                f"coalesce(sum(bytes) FILTER (n = 1 AND other IS NOT TRUE), 0) FROM flags WHERE f{i}"
            ).fetchall()[0]
            names = ("fails", "bytes", "unique", "unique_bytes")
            rows.append(
                {
                    "gate": gate,
                    "reason": rule.reason,
                    "signal": rule.signal,
                    **dict(zip(names, map(int, found), strict=True)),
                }
            )
        pairs: list[dict[str, Any]] = []
        active = [i for i, r in enumerate(rows) if r["fails"]]
        for k, i in enumerate(active):
            rest = active[k + 1 :]
            if not rest:
                continue
            query = ", ".join(f"count(*) FILTER (f{j})" for j in rest)
            for j, both in zip(
                rest, connection.sql(f"SELECT {query} FROM flags WHERE f{i}").fetchall()[0], strict=True
            ):
                if both:
                    either = rows[i]["fails"] + rows[j]["fails"] - both
                    names_of = [f"{rows[x]['gate']}.{rows[x]['reason']}" for x in (i, j)]
                    pairs.append({"a": names_of[0], "b": names_of[1], "both": int(both), "jaccard": both / either})
    pairs.sort(key=lambda p: (-p["jaccard"], -p["both"], p["a"], p["b"]))
    return {"documents": int(counts), "rules": rows, "pairs": pairs[:top_pairs]}
