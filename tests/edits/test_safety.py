"""Personal data, addresses and evaluation items: what is found, what is left alone, and what is on record."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.documents import Doc, Documents
from pipeline.core.errors import DataError, RecipeError
from pipeline.core.registry import measure
from pipeline.core.spans import apply_spans
from pipeline.curate.build import build
from pipeline.curate.config import CurateConfig, SignalsConfig
from pipeline.decontaminate.sets import build_index, read_items
from pipeline.edits.contamination import cut_contamination
from pipeline.edits.pii import REGIONS, cards, digit_windows, find, ibans, identities, ips, phones, pii
from pipeline.look.contamination import Holder, SeenItem, SetSeen, contamination
from pipeline.look.run import open_run, table_of
from pipeline.signals.url import plain_address, plain_host
from tests.conftest import article, run, write_jsonl

pytestmark = pytest.mark.usefixtures("kernels")


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("write to jane.doe+x@mail.example.org today", "email"), ("пишите на иван@пример.рф", "email"),
        ("from 81.2.69.142 at noon", "ip"), ("host 2606:4700:4700::1111 answers", "ip"),
        ("IBAN GB82 WEST 1234 5698 7654 32 please", "iban"), ("to DE89370400440532013000.", "iban"),
        ("card 4111 1111 1111 1111, exp", "card"), ("amex 378282246310005", "card"),
        ("call +44 20 7946 0958 now", "phone"), ("phone: (415) 555-2671", "phone"), ("Tel. 030 901820", "phone"),
        ("SSN 536-90-4399", "ssn"), ("CPF 529.982.247-25", "ssn"), ("DNI 12345678Z", "ssn"),
        ("codice fiscale RSSMRA85T10A562S", "ssn"), ("NI number QQ123456C is none but AB123456C is", "ssn"),
        ("send to 1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", "crypto"), ("0x52908400098527886E0F7030069857D2E4169EE7", "crypto"),
        ("key AKIAIOSFODNN7EXAMPLE here", "secret"), ("token ghp_" + "a1B2" * 9, "secret"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----", "secret"),
    ],
)  # fmt: skip
def test_personal_data_is_found(text: str, kind: str) -> None:
    assert [h.kind for h in find(text)] == [kind]


@pytest.mark.parametrize(
    "text",
    [
        "192.168.0.1 and 10.0.0.1 and 127.0.0.1", "version 1.2.3.400 of it", "::1 and fe80::1",
        "4111 1111 1111 1112", "order 1234567890123456", "GB82 WEST 1234 5698 7654 33", "000-12-3456",
        "2010-2015 and 12.10.2021", "ISBN 978-3-16-148410-0", "3 + 4 = 7, 1,234,567 people", "in 1999 2000 2001 2002",
        "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb", "user@localhost and @handle", "555 12345 Main Street", "10:30:45 at 12/12/2020",
        "pi is 3.14159265358979", "chapter 12-13, page 1015",
    ],
)  # fmt: skip
def test_look_alikes_stay(text: str) -> None:
    assert find(text) == []


def test_placeholders_are_typed_and_numbered_within_a_document() -> None:
    doc = Doc(b"0" * 16, "a@b.org wrote to c@d.org; then a@b.org called +1 415 555 2671.")
    assert apply_spans(doc.text, pii(doc))[0] == "<EMAIL> wrote to <EMAIL>; then <EMAIL> called <PHONE>."
    text = apply_spans(doc.text, pii(doc, numbered=True))[0]
    assert text == "<EMAIL_1> wrote to <EMAIL_2>; then <EMAIL_1> called <PHONE_1>."
    assert apply_spans(doc.text, pii(doc, kinds=("phone",), placeholder="[{kind}]"))[0].endswith("called [PHONE].")
    with pytest.raises(RecipeError, match="Did you mean 'email'"):
        list(pii(doc, kinds=("emial",)))
    with pytest.raises(RecipeError, match="no region 'UK'"):
        list(pii(doc, regions=("UK",)))


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet="0123456789 -+().@abcGB:x/\n", max_size=80))
def test_hits_never_overlap_and_lie_in_the_text(text: str) -> None:
    hits = find(text)
    assert all(0 <= h.start < h.end <= len(text) for h in hits)
    assert all(a.end <= b.start for a, b in itertools.pairwise(hits))


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            ["GB82 WEST 1234 5698 7654 32", "4111 1111 1111 1111", "536-90-4399", "call (415) 555-2671", "+44 20 7946 0958",
             "RSSMRA85T10A562S", "81.2.69.142", "AB123456C", "lorem ipsum dolor sit amet consectetur ", "in 2019, ", "12 ", "\n"]
        ),
        max_size=8,
    ).map(" ".join)
)  # fmt: skip
def test_looking_at_digits_only_misses_nothing(text: str) -> None:
    whole = [(0, len(text))]
    for finder in (ibans, cards, identities, lambda t, w: phones(t, REGIONS, w)):
        assert list(finder(text, digit_windows(text, 6))) == list(finder(text, whole))
    assert list(ips(text, digit_windows(text, 4))) == list(ips(text, whole))


def test_no_secret_reaches_a_sidecar(tmp_path: Path) -> None:
    secret = "jane.roe@private.example"
    write_jsonl(
        tmp_path / "in.jsonl",
        [{"text": article(1) + f" Mail {secret} or call +1 415 555 2671.", "url": "http://a.test/"}],
    )
    recipe = tmp_path / "r.toml"
    recipe.write_text('name = "r"\n[extract]\ninputs = ["in.jsonl"]\n[curate]\ngates = ["pii"]\n')
    done = run(recipe, tmp_path / "runs", last="curate")
    edits = table_of(done.need("curate"), "edits").to_pylist()
    assert sorted(e["kind"] for e in edits) == ["email", "phone"]
    assert done.need("curate").counts["edits"] == {"email": 1, "phone": 1}
    for path in done.need("curate").dir.rglob("*.parquet"):
        assert secret.encode() not in path.read_bytes()


def url_signals(addresses: list[str], **params: Any) -> list[tuple[int, ...]]:
    config = SignalsConfig({"url_listed": params})
    curation = build(CurateConfig(gates=["urls"]), config)
    docs = Documents(Doc(i.to_bytes(16, "big"), "x", url=u, host=u.split("/")[2]) for i, u in enumerate(addresses))
    for first, values in curation.signal_params.items():
        measure(curation.signal(first), docs, values)
    return [tuple(int(v or 0) for v in d.signals.values()) for d in docs]


def test_addresses_meet_lists(tmp_path: Path) -> None:
    ut1 = tmp_path / "adult"
    ut1.mkdir()
    (ut1 / "domains").write_text("# UT1 layout\nbad.example\nbücher.test\n")
    (ut1 / "urls").write_text("mixed.example/adult\n")
    (tmp_path / "sub.txt").write_text("sexcam\n")
    (tmp_path / "ok.txt").write_text("good.bad.example\n")
    urls = [
        "http://bad.example/", "https://www.deep.bad.example/x", "http://notbad.example/", "http://good.bad.example/a",
        "http://www.mixed.example/adult/page?x=1", "http://mixed.example/adulthood", "http://xn--bcher-kva.test/",
        "http://x.example/free-porn/", "http://x.example/hot-babes-cams", "http://x.example/hot-dogs",
        "http://my-sex-cam.example/", "http://x.example/%70orn",
    ]  # fmt: skip
    found = url_signals(
        urls, domains=[str(ut1)], urls=[str(ut1)], subwords=str(tmp_path / "sub.txt"), allow=[str(tmp_path / "ok.txt")]
    )
    domain, listed, word, soft, sub = zip(*found, strict=True)
    assert domain == (1, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0)
    assert listed == (0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0)
    assert word == (0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1)
    assert soft == (0, 0, 0, 0, 1, 0, 0, 0, 3, 1, 2, 0)
    assert sub == (0,) * 10 + (1, 0)


def test_hosts_and_addresses_have_one_form() -> None:
    assert plain_host("WWW.Bücher.Example:8080.") == "www.xn--bcher-kva.example"
    assert plain_address("HTTPS://user@www.A.example/P/?q=1#f") == "a.example/P/?q=1"


ITEMS = [
    {
        "id": 1,
        "question": "Question: Which of these planets has the largest number of known moons in our solar system today?",
    },
    {
        "id": 2,
        "context": "A farmer has seventeen sheep and all but nine of them run away. How many are left?",
        "gold": 0,
    },
    {"id": 3, "question": "What is two plus two minus one?", "choices": ["three", "four"]},
    {"id": 4, "question": "Short one"},
]
PLANTED = "A FARMER has seventeen sheep, and all but nine of them... run away! How many are left?"


def test_items_are_found_however_they_are_written(tmp_path: Path) -> None:
    sets = write_jsonl(tmp_path / "quiz.jsonl", ITEMS)
    index = build_index((str(sets),), 13)
    assert index.items == ("quiz/0", "quiz/1", "quiz/2", "quiz/3")
    assert index.unreachable == ("quiz/3",)
    doc = Doc(b"0" * 16, article(1) + "\n" + PLANTED + "\n" + article(2))
    text, spans = apply_spans(doc.text, cut_contamination(doc, sets=(str(sets),)))
    assert [s.kind for s in spans] == ["quiz/1"]
    assert "sheep" not in text
    assert text.startswith(article(1))
    assert text.endswith(article(2))
    clean = Doc(b"1" * 16, article(3))
    assert list(cut_contamination(clean, sets=(str(sets),))) == []
    short = Doc(b"2" * 16, "They asked what is two plus two minus one? Three, four.")
    assert [s.kind for s in cut_contamination(short, sets=(str(sets),))] == ["quiz/2"]


def test_contaminated_documents_are_dropped_and_every_item_is_on_record(tmp_path: Path) -> None:
    sets = write_jsonl(tmp_path / "quiz.jsonl", ITEMS)
    rows = [{"text": article(n), "url": f"http://a.test/{n}"} for n in range(3)]
    rows.append({"text": article(9) + " " + PLANTED, "url": "http://leak.test/"})
    write_jsonl(tmp_path / "in.jsonl", rows)
    recipe = tmp_path / "r.toml"
    recipe.write_text(
        'name = "r"\n[extract]\ninputs = ["in.jsonl"]\n[curate]\ngates = ["decontaminate"]\n'
        '[signals.contaminated_items]\nsets = ["quiz.jsonl"]\n'
    )
    done = run(recipe, tmp_path / "runs", last="curate")
    (decision,) = table_of(done.need("curate"), "decisions").to_pylist()
    assert (decision["url"], decision["reasons"]) == ("http://leak.test/", ["contaminated"])
    found = contamination(open_run(done.root), [sets], out=tmp_path / "out")
    assert found.sets == (SetSeen("quiz", items=4, seen=1, clean=3),)
    assert found.items == (SeenItem("quiz/1", (Holder("http://leak.test/", kept=False),)),)
    clean = [json.loads(line)["id"] for line in (tmp_path / "out" / "quiz.clean.jsonl").read_text().splitlines()]
    assert clean == [1, 3, 4]


def test_a_broken_evaluation_set_is_a_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text('{"a": "b"}\nnot json\n')
    with pytest.raises(DataError, match=r"bad\.jsonl, line 2"):
        list(read_items(path))
    with pytest.raises(DataError, match="no JSONL"):
        list(read_items(tmp_path / "nothing"))
    with pytest.raises(RecipeError, match="ngram: expected 1"):
        build_index((str(write_jsonl(tmp_path / "quiz.jsonl", ITEMS)),), 0)
    with pytest.raises(RecipeError, match="sets: this has to be given"):
        build(CurateConfig(gates=["decontaminate"]), SignalsConfig())
