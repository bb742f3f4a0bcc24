"""The fast extractor: what it keeps, that nothing it is given can break it, and how its model is made."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from examples.hosts import GARDEN
from pipeline.core.errors import DataError
from pipeline.extract.fast.engine import FastExtractor, measure
from pipeline.extract.fast.kernels.elements import E
from pipeline.extract.fast.kernels.tags import tables
from pipeline.extract.fast.labels import block_labels, word_f1
from pipeline.extract.fast.model import load
from pipeline.look.run import table_of
from pipeline.text.charset import decode, is_utf8
from tests.command import printed
from tests.conftest import html, run, warc_bytes, write_recipe

FAST = FastExtractor()
PROSE = (
    "The old bridge was built by the monks of the valley, and for three hundred years it was the only way across the "
    "river. When the floods of that spring took two of its arches, the village had to decide what to do about it. "
)
PAGE = f"""<!doctype html><html lang="en-GB"><head><title>The bridge | Valley News</title>
<meta property="og:title" content="The bridge"><meta name="author" content="Jo Miller">
<meta property="article:published_time" content="2024-05-06T07:08:09Z">
<link rel="canonical" href="/bridge"><link rel="license" href="https://creativecommons.org/licenses/by/4.0/">
</head><body><nav class="menu"><ul><li><a href="/">Home</a></li><li><a href="/news">News</a></li>
<li><a href="/contact">Contact us</a></li></ul></nav>
<div id="cookie-banner" class="cookie-consent"><p>We use cookies to improve your experience.</p><button>Accept all</button></div>
<main><article class="post"><h1>The bridge</h1><p>{PROSE}</p><h2>What was done</h2><p>{PROSE[::-1][::-1]} Then came 1 &lt; 2.</p>
<ul><li>They closed the road for the summer, and the ferry came back.</li><li>They asked a mason from the next town for help.
<ul><li>He brought his own stones, which were darker than ours.</li></ul></li></ul>
<pre><code>def arches(n):
    return n + 2
</code></pre>
<table><tr><th>Year</th><th>Arches of the bridge</th></tr><tr><td>1923</td><td>five arches of stone</td></tr></table>
<p>The load is <math alttext="q = m g"><mi>q</mi></math> on every arch, as the engineers of the county have found.</p>
<p>{PROSE}</p></article></main>
<footer class="footer"><p>© 2024 Valley News. All rights reserved.</p>
<a href="/privacy">Privacy policy</a></footer></body></html>"""


def text_of(page: str | bytes, url: str = "http://a.test/news/bridge") -> str:
    return FAST.extract(page.encode() if isinstance(page, str) else page, url).text


def test_keeps_the_content_in_its_form_and_drops_the_rest() -> None:
    text = text_of(PAGE)
    assert "built by the monks" in text
    assert "Then came 1 < 2." in text
    assert "- They closed the road" in text
    assert "\n  - He brought his own stones" in text
    assert "def arches(n):\n    return n + 2" in text
    assert "1923 | five arches of stone" in text
    assert "$q = m g$ on every arch" in text
    for boilerplate in ("cookies", "Accept all", "Contact us", "Privacy policy", "All rights reserved"):
        assert boilerplate not in text


def test_takes_one_of_two_copies() -> None:
    second = "The second arch was rebuilt in the winter, when the water was low, and the masons lived beside the ford."
    copies = "".join(f"<div class='{name}-only'><p>{second}</p></div>" for name in ("mobile", "desktop"))
    assert text_of(PAGE.replace("<h2>", f"{copies}<h2>")).count(second) == 1


def test_reads_what_the_page_says_of_itself() -> None:
    page = FAST.extract(PAGE.encode(), "http://a.test/news/bridge")
    facts = page.metadata
    assert (facts.title, facts.author, facts.date) == ("The bridge", "Jo Miller", "2024-05-06")
    assert (facts.language, facts.canonical_url) == ("en-GB", "http://a.test/bridge")
    assert facts.licence == "https://creativecommons.org/licenses/by/4.0/"
    assert page.n_links == 4
    assert 0.5 < page.confidence <= 1


def test_source_ranges_hold_the_text() -> None:
    page = FAST.extract(PAGE.encode())
    taken = b" ".join(PAGE.encode()[a:b] for a, b in page.ranges)
    assert b"built by the monks" in taken
    assert b"Privacy policy" not in taken
    assert all(0 <= a < b <= len(PAGE.encode()) for a, b in page.ranges)
    assert np.all(np.diff(page.ranges.ravel()) > 0)


def test_outcome_depends_on_the_page_alone() -> None:
    pages = [p.read_bytes() for p in sorted((GARDEN / "pages").glob("*.html"))[:20]]
    first = [text_of(decode(p).utf8) for p in pages]
    again = [text_of(decode(p).utf8) for p in reversed(pages)]
    assert first == again[::-1]


def blocks_of(page: str) -> list[str]:
    found = measure(page.encode())
    assert not isinstance(found, str)
    return found.block_texts()


@pytest.mark.parametrize(
    ("page", "blocks"),
    [
        ("<p>one<p>two", ["one", "two"]),
        ("<ul><li>a<li>b<ul><li>c</ul><li>d</ul>", ["a", "b", "c", "d"]),
        ("<table><tr><td>1<td>2<tr><th>3</table>", ["1", "2", "3"]),
        ("<dl><dt>a<dd>b<dt>c</dl>", ["a", "b", "c"]),
        ("a<br>b<br><br>c", ["a\nb", "c"]),
        ("x <b>bo</b>ld\n\t y", ["x bold y"]),
        ("<script>if (a<b) '</p>'</script><style>p{}</style>t", ["t"]),
        ("<!-- <p>no</p> -->yes<!-- open", ["yes"]),
        ("<!--> a -->b", ["a -->b"]),
        ("&eacute;&copy2024 &amp;amp; &#8364;&#x20AC; &#150; &nosuch; &", ["é©2024 &amp; €€ – &nosuch; &"]),
        ("a&nbsp;b&shy;c", ["a bc"]),
        ("3 < 4 <5", ["3 < 4 <5"]),
        ("<p title='a>b'>t</p>", ["t"]),
        ("<head><title>x</title><p>in the body", ["in the body"]),
        ("<body><template><p>hid</p></template><svg><text>s</text></svg>t", ["t"]),
        ("<noscript><p>without scripts</p></noscript>", ["without scripts"]),
        ("<pre>\n  a\n\n    b</pre>", ["  a\n\n    b"]),
        ("<p>cut <a href='x", ["cut"]),
        ("</div></p></nothing>t", ["t"]),
        ('<script type="math/tex">x^2</script> is it', ["$x^2$ is it"]),
        ("<math><semantics><mi>x</mi><annotation encoding='application/x-tex'>\\alpha</annotation></semantics></math>",
         ["$\\alpha$"]),
        ("", []),
        ("<", ["<"]),
    ],
)  # fmt: skip
def test_scanner_follows_the_html_standard(page: str, blocks: list[str]) -> None:
    assert blocks_of(page) == blocks


FRAGMENT = st.sampled_from(
    ["<p>", "</p>", "<div class='a b-c'>", "</div>", "<li>", "<ul>", "</ul>", "<td>", "<tr>", "<table>", "</table>", "<a href=x>",
     "</a>", "<br>", "<h1>", "</h1>", "<script>", "</script>", "<!--", "-->", "&amp;", "&#x1F600;", "&", "<", ">", "\"", "'", "=",
     "<pre>", "</pre>", "<math>", "</math>", "<title>", "</title>", "text ", "wörter", "漢字", "\0", "<svg/>", "<p id=\"",
     "<!", "<?", "</", "<x-y>", "<body>", "<head>", "</html>", "<option>", "<textarea>", "\u00a0", "\u00ad", " ", "\n"]
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.lists(FRAGMENT, max_size=60).map("".join))
def test_any_markup_gives_valid_text_and_ranges(page: str) -> None:
    raw = page.encode()
    found = FAST.extract(raw)
    assert found.limit is None
    assert all(0 <= a <= b <= len(raw) for a, b in found.ranges)
    assert 0 <= found.confidence <= 1
    measured = measure(raw)
    assert not isinstance(measured, str)
    parents = measured.el[1:, E.parent]
    assert np.all((parents >= 0) & (parents < np.arange(1, len(measured.el))))
    measured.text.tobytes().decode("utf-8")


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=400))
def test_any_bytes_give_an_outcome(body: bytes) -> None:
    decoded = decode(body)
    assert is_utf8(decoded.utf8)
    assert FAST.extract(decoded.utf8).limit is None


def test_page_cut_off_anywhere_keeps_what_came_before() -> None:
    raw = PAGE.encode()
    for end in range(0, len(raw), 37):
        FAST.extract(raw[:end])
    assert "built by the monks" in text_of(raw[: raw.index(b"<pre>") + 3])


@pytest.mark.parametrize(
    "page",
    [
        "<div>" * 100_000 + "deep" + "</div>" * 100_000,
        "<div>" * 100_000 + "</span>" * 100_000,
        "<b>" * 60_000 + "</i>" * 60_000 + "<p>" * 60_000,
        "<ul><li>" * 50_000,
        "<a href='" + "x" * 5_000_000,
        "<math>" * 100_000,
        "&" * 1_000_000 + "&#" * 500_000,
        "<p " + "a=b " * 500_000 + ">t",
        "<!-" * 500_000,
        "<script>" + "</scrip" * 500_000,
        "<p class='" + "x" * 3_000_000 + " y'>t",
        "word " * 2_000_000,
    ],
    ids=lambda p: p[:12],
)
def test_hostile_pages_cost_bounded_time(page: str) -> None:
    began = time.process_time()
    FAST.extract(page.encode())
    assert time.process_time() - began < 10  # seconds; a quadratic step would take minutes


def test_too_many_elements_go_to_the_other_engine(tmp_path: Path) -> None:
    body = html("x") + b"<i>" * 210_000
    body = body.replace(b"<p>x</p>", f"<p>{PROSE * 3}</p>".encode())
    data, _ = warc_bytes([("http://a.test/many", body, {}), ("http://a.test/few", PAGE.encode(), {})])
    (tmp_path / "a.warc.gz").write_bytes(data)
    recipe = write_recipe(tmp_path, '[extract]\ninputs = ["a.warc.gz"]\n')
    step = run(recipe, tmp_path / "runs", last="extract").need("extract")
    rows = {r["url"]: r for r in table_of(step, "data").to_pylist()}
    assert rows["http://a.test/few"]["extractor"] == "fast"
    assert rows["http://a.test/few"]["author"] == "Jo Miller"
    assert rows["http://a.test/few"]["extract_confidence"] > 0.5
    many = rows["http://a.test/many"]
    assert many["extractor"] == "trafilatura after fast: too_many_elements"
    assert "monks" in many["text"]


def test_engine_is_the_recipes_choice(tmp_path: Path) -> None:
    data, _ = warc_bytes([("http://a.test/1", PAGE.encode(), {})])
    (tmp_path / "a.warc.gz").write_bytes(data)
    recipe = write_recipe(tmp_path, '[extract]\ninputs = ["a.warc.gz"]\nextractor = "trafilatura"\n')
    step = run(recipe, tmp_path / "runs", last="extract").need("extract")
    assert table_of(step, "data", ["extractor"])["extractor"].to_pylist() == ["trafilatura"]


def test_broken_model_file_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "model.npz").write_bytes(b"not a model")
    with pytest.raises(DataError, match="not an extraction model"):
        load(tmp_path / "model.npz")


@pytest.mark.parametrize(
    ("charset", "text"),
    [("utf-16-le", "Grüße aus dem Garten " * 9), ("utf-16-be", "plain text " * 9), ("utf-32-le", "plain text " * 9),
     ("iso2022_jp", "これは日本語の文章です。" * 9), ("utf-8", "naïve"), ("utf-8-sig", "naïve")],
)  # fmt: skip
def test_charsets_without_a_label(charset: str, text: str) -> None:
    assert decode(text.encode(charset)).text == text


def test_labels_give_each_word_of_the_reference_once() -> None:
    blocks = [
        "Menu",
        "A bridge",
        "It was built by the monks of the valley.",
        "It was built by the monks of the valley.",
        "Menu",
    ]
    labels = block_labels(blocks, "A bridge\nIt was built by the monks of the valley.")
    assert labels.tolist() == [0, 1, 1, 0, 0]
    assert word_f1("a b", "a b c") == pytest.approx(0.8)
    assert word_f1("", "") == 1


def test_training_makes_a_model_that_tells_content_from_menus(tmp_path: Path) -> None:
    folder = tmp_path / "labelled"
    (folder / "html").mkdir(parents=True)
    rows = []
    for i in range(40):
        body = " ".join(f"{w}{i % 7}" if k % 9 == 0 else w for k, w in enumerate((PROSE * 2).split()))
        menu = "".join(f"<li><a href='/{k}'>Section {k}</a></li>" for k in range(6))
        page = f"<body><ul class='menu'>{menu}</ul><div class='story'><p>{body}</p><p>{body[20:]}</p></div></body>"
        (folder / "html" / f"{i}.html.gz").write_bytes(gzip.compress(page.encode()))
        rows.append(
            {
                "file_id": str(i),
                "url": f"http://site{i}.test/",
                "page_type": "article",
                "main_content": body + "\n" + body[20:],
            }
        )
    with gzip.open(folder / "ground-truth.jsonl.gz", "wt") as f:
        f.writelines(json.dumps(r) + "\n" for r in rows)
    out = tmp_path / "own.npz"
    printed("extractor", "train", folder, "--out", out)
    assert load(out).facts["out_of_fold"]["word F1"] > 0.9
    again = tmp_path / "again.npz"
    printed("extractor", "train", folder, "--out", again)
    assert out.read_bytes() == again.read_bytes()


BOUNDED = """
import random, sys
from pathlib import Path
from pipeline.text.charset import decode
from pipeline.extract.fast.engine import FastExtractor
fast, rng = FastExtractor(), random.Random(1)
for path in sorted(Path(sys.argv[1]).glob("*.html")):
    page = decode(path.read_bytes()).utf8[:30_000]
    fast.extract(page)
    for _ in range(20):
        cut = bytearray(page)
        for _ in range(30):
            cut[rng.randrange(len(cut))] = rng.choice(b"<>/&'=\\" a\\x00\\xff!-")
        fast.extract(decode(bytes(cut[: rng.randrange(len(cut))])).utf8)
"""


def test_kernels_stay_inside_their_arrays(pytestconfig: pytest.Config) -> None:
    cache = pytestconfig.rootpath / ".pytest_cache" / "numba-with-bounds-checks"
    environment = os.environ | {"NUMBA_BOUNDSCHECK": "1", "NUMBA_CACHE_DIR": str(cache)}
    command = [sys.executable, "-c", BOUNDED, str(GARDEN / "pages")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_tables_name_every_reference_of_the_standard() -> None:
    _, offsets, blob = tables().references
    assert len(offsets) == 2232
    assert blob.tobytes().decode("utf-8")
