"""Results as text for a terminal."""

from __future__ import annotations

import json
import textwrap
from typing import Any

from pipeline.cli.text import bar, mib, plain


def show_stats(s: dict[str, Any]) -> None:
    print(f"run {s['run']}")
    if s["crawl"]:
        print("\ncrawl")
        for outcome, n in sorted(s["crawl"].items(), key=lambda x: -x[1]):
            print(f"  {outcome:<24}{n:>9,}")
    for stage in ("extract", "curate"):
        part = s[stage]
        if not part:
            continue
        print(f"\n{stage:<26}{part['rows_in']:>9,} in")
        for gate in part["gates"]:
            if not gate["documents"]:
                continue
            print(f"  - {gate['gate']:<22}{gate['documents']:>9,}  {mib(gate['bytes']):>10}")
            for r in gate["reasons"]:
                print(f"      {r['reason']:<26}{r['documents']:>5,}  {r['alone']:>5,} for this alone")
        for kind, n in part["edits"].items():
            print(f"  ~ {kind:<22}{n:>9,} replaced")
        print(f"  = {'kept':<22}{part['rows_out']:>9,}  {mib(part['bytes_out']):>10}")
    for name in ("languages", "hosts"):
        if s[name]:
            print(f"\n{name}")
            for row in s[name][:8]:
                print(f"  {plain(row['name']) or '(none)':<24}{row['documents']:>9,}  {mib(row['bytes']):>10}")
    if s["tokens"]:
        t = s["tokens"]
        print("\ntokens")
        for split in ("train", "validation", *(["test"] if t.get("test_rows") else [])):
            n, size = t.get(f"{split}_tokens", 0), t.get(f"{split}_bytes", 0)
            rate = f"{size / n:.2f} bytes/token" if n else ""
            print(f"  {split:<24}{n:>9,}  {t.get(f'{split}_rows', 0):,} rows, {rate}")
    if s["model"]:
        m = s["model"]
        print("\nmodel")
        print(f"  parameters              {m['parameters']:>9,}")
        print(
            f"  tokens trained on       {m['tokens_trained']:>9,}  {m['tokens_per_s']:,.0f} tokens/s on {m['device']}"
        )
        print(
            f"  bits per byte           {m['bits_per_byte']:>9.3f}  unigram baseline {m['unigram_bits_per_byte']:.3f}"
        )
    for step, errors in s["errors"].items():
        print(f"\n{len(errors)} recorded errors in {step}, for example: {plain(errors[0])}")


def show_histogram(h: dict[str, Any]) -> None:
    print(h["signal"])
    if "values" in h:
        most = max((v["all"] for v in h["values"]), default=1)
        for v in h["values"][:30]:
            print(f"  {plain(v['name']):<10}{v['all']:>8,} of which kept {v['kept']:>8,}  {bar(v['all'] / most)}")
        return
    most = max(k + d for k, d in zip(h["kept"], h["dropped"], strict=True)) or 1
    for i, (k, d) in enumerate(zip(h["kept"], h["dropped"], strict=True)):
        print(f"  {h['edges'][i]:>12.4g}  kept {k:>7,}  dropped {d:>7,}  {bar((k + d) / most)}")


def show_inspect(found: dict[str, Any]) -> None:
    if found["kind"] == "tokens":
        from pipeline.cli.show_tokens import show_shard

        show_shard(found)
        return
    rows = found.pop("rows", None)
    print(json.dumps(found, ensure_ascii=False, indent=1, default=str))
    for i, row in enumerate(rows or []):
        print(f"--- row {i}")
        for name, value in row.items():
            shown = plain(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str))
            print(f"  {name:<18}{shown[:200]}{'…' if len(shown) > 200 else ''}")


def show_explain(e: dict[str, Any]) -> None:
    print(f"{plain(e['target'])}\n  {plain(e['verdict'])}")
    if e["fetch"]:
        f = e["fetch"]
        print("\nfetch")
        print(f"  {f['outcome']}  {f['status'] or ''}  {plain(f['note'] or '')}".rstrip())
        print(f"  depth {f['depth']}, linked from {plain(f['referrer'] or 'the seeds')}, {f['time']}")
        if f["warc_file"]:
            print(f"  stored in {f['warc_file']} at byte {f['warc_offset']:,}")
    for life in e["documents"]:
        print(f"\ndocument {life['doc_id']}")
        for name, value in (life.get("document") or {}).items():
            if value not in (None, [], "") and name not in ("url", "host", "shard"):
                print(f"  {name:<18}{plain(str(value))[:160]}")
        for stage in ("extract", "curate"):
            for d in life.get(stage, []):
                kept = (
                    f", a copy of {plain(d['kept_url'])}, similarity {d['similarity']:.3f}" if d.get("kept_url") else ""
                )
                note = f" ({plain(d['note'])})" if d.get("note") else ""
                print(f"  dropped at {stage}, gate {d['gate']}: {', '.join(d['reasons'])}{kept}{note}")
        if life.get("checks"):
            wide = [max(len(c[k]) for c in life["checks"]) + 2 for k in ("gate", "reason", "signal")]
            print(f"\n  {'gate':<{wide[0]}}{'reason':<{wide[1]}}{'signal':<{wide[2]}}{'value':>10}   bound")
        for c in life.get("checks", []):
            value = "-" if c["value"] is None else c["value"] if isinstance(c["value"], str) else f"{c['value']:.4g}"
            mark = {True: " ", False: "x", None: "?"}[c["passed"]]
            bound = f"in {','.join(c['one_of'])}" if c["one_of"] else ""
            bound += f">= {c['min']:g} " if c["min"] is not None else ""
            bound += f"<= {c['max']:g}" if c["max"] is not None else ""
            names = "".join(f"{c[k]:<{w}}" for k, w in zip(("gate", "reason", "signal"), wide, strict=True))
            print(f"{mark} {names}{value:>10}   {bound}")
        for edit in life.get("edits", []):
            print(f"  edit {edit['gate']}: {edit['kind']} at characters {edit['start']}-{edit['end']}")
        for copy in life.get("copies", []):
            print(f"  kept in place of {plain(copy['url'] or '')} ({copy['gate']}, {copy['similarity']:.3f})")
        for r in (life.get("tokens") or [])[:5]:
            print(f"  tokens: {r['split']} shard {r['shard']:05d}, row {r['row']}, [{r['start']}:{r['end']}]")
        if len(life.get("tokens") or []) > 5:
            print(f"  tokens: and {len(life['tokens']) - 5} more rows")
        if life.get("text"):
            print(textwrap.indent(textwrap.fill(textwrap.shorten(plain(life["text"]), 600), 100), "  | "))


def show_whatif(w: dict[str, Any]) -> None:
    before, after = w["kept_before"], w["kept_after"]
    print(f"with {', '.join(w['set'])}")
    print(f"  kept {before[0]:,} documents ({mib(before[1] or 0)}) -> {after[0]:,} ({mib(after[1] or 0)})")
    for side in ("gained", "lost"):
        part = w[side]
        print(f"\n{side}: {part['documents']:,} documents, {mib(part['bytes'])}")
        for group in ("languages", "hosts"):
            listed = ", ".join(f"{plain(r['name']) or '(none)'} {r['documents']:,}" for r in part[group])
            if listed:
                print(f"  {group}: {listed}")
        for url in part["examples"]:
            print(f"    {plain(url or '')}")
    print("\ndropped by gate, before -> after")
    for row in w["gates"]:
        print(f"  {row['gate']:<24}{row['before']:>9,} -> {row['after']:>9,}")
    if w["matches"] and w["gained"]["documents"]:
        print(f"\nGained documents would still have to pass: {', '.join(w['matches'])}.")
    if not w["measured_all"]:
        print(
            "Dropped documents were not measured by later gates (curate.measure_dropped = false): gains are an upper bound."
        )


def show_rule_table(t: dict[str, Any]) -> None:
    print(f"{t['documents']:,} documents measured; a rule's unique kills would be in the data without it\n")
    print(f"  {'rule':<52}{'fails':>9}{'unique':>9}{'unique text':>13}")
    for r in sorted(t["rules"], key=lambda r: (-r["fails"], r["gate"], r["reason"])):
        print(f"  {r['gate'] + '.' + r['reason']:<52}{r['fails']:>9,}{r['unique']:>9,}{mib(r['unique_bytes']):>13}")
    if t["pairs"]:
        print("\nrules that drop the same documents (documents that fail both / either)")
    for p in t["pairs"]:
        print(f"  {p['jaccard']:>5.0%} {p['both']:>8,}  {p['a']}  {p['b']}")


def show_nearest(n: dict[str, Any]) -> None:
    print(f"{n['signal']} around {n['value']:g}")
    for side in ("below", "above"):
        print(f"\n{side}")
        for row in n[side]:
            fate = f"dropped by {row['dropped_by']}" if row["dropped_by"] else "kept"
            print(f"  {row['value']:<12.6g}{fate:<30}{plain(row['url'] or '')}")
            print(textwrap.indent(textwrap.fill(textwrap.shorten(plain(row["text"]), 240), 100), "      | "))


def show_representation(r: dict[str, Any]) -> None:
    print(f"{r['documents']:,} documents, {r['removed']:,} removed ({r['rate']:.1%})")
    kind = ""
    for g in r["groups"]:
        if g["kind"] != kind:
            kind = g["kind"]
            print(f"\n  {kind:<32}{'documents':>10}{'removed':>9}{'rate':>8}{'x all':>7}{'z':>7}  mostly by")
        mostly = ", ".join(f"{gate} {n:,}" for gate, n in list(g["gates"].items())[:3])
        numbers = f"{g['documents']:>10,}{g['removed']:>9,}{g['rate']:>8.1%}{g['ratio']:>7.2f}{g['z']:>7.1f}"
        print(f"  {plain(g['name'])[:31]:<32}{numbers}  {mostly}")


def show_contamination(c: dict[str, Any]) -> None:
    print(f"{c['documents']:,} documents contain items\n\n  {'set':<32}{'items':>8}{'seen':>8}{'clean':>8}")
    for s in c["sets"]:
        print(f"  {s['set']:<32}{s['items']:>8,}{s['seen']:>8,}{s['clean']:>8,}")
    for item in c["items"][:20]:
        where = ", ".join(plain(d["url"] or "") + ("" if d["kept"] else " (dropped)") for d in item["documents"][:3])
        print(f"    {item['item']:<30} {where}")
    if len(c["items"]) > 20:
        print(f"    and {len(c['items']) - 20:,} more items (--json lists all)")


def show_rule_sets(sets: list[dict[str, Any]]) -> None:
    for s in sets:
        print(f"{s['name']:<30}{s['rules']:>3} rules")
        print(textwrap.indent(textwrap.fill(s["source"], 96), "    "))


def show_rule_set(s: dict[str, Any]) -> None:
    print(s["name"])
    print(textwrap.indent(textwrap.fill(s["source"], 96), "  "))
    if s["argument"]:
        print(f"  written {s['name']}:...: {s['argument']}")
    print(f"\n  {'reason':<28}{'signal':<36}bound")
    for r in s["rules"]:
        bound = f">= {r['min']:g} " if r["min"] is not None else ""
        bound += f"<= {r['max']:g}" if r["max"] is not None else ""
        if r["one_of"]:
            bound = "one of " + (r["one_of"] if isinstance(r["one_of"], str) else ", ".join(r["one_of"]))
        print(f"  {r['reason']:<28}{r['signal']:<36}{bound}{'   ' + r['source'] if r['source'] else ''}")
        for language, own in r["by_language"].items():
            print(f"  {'':<64}{language}: {own}")


def show_classifier(c: dict[str, Any], name: str) -> None:
    print(f"{name}: AUC {c['auc']:.3f} on {c['texts']:,} texts, {c['positive']:,} of them positive")
    for source, value in c["auc_by_source"].items():
        if value == value:
            print(f"  {source:<24} AUC {value:.3f}")
    print(f"  {'threshold':>9}{'precision':>11}{'recall':>9}{'F1':>9}{'called':>9}")
    for t in c["thresholds"]:
        print(f"  {t['threshold']:>9}{t['precision']:>11.3f}{t['recall']:>9.3f}{t['f1']:>9.3f}{t['called']:>9.3f}")
