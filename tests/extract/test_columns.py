"""Columns by name: the tables of a scanned page and the features that the model was trained on."""

from __future__ import annotations

import json
import zipfile

import numpy as np
import pytest

from pipeline.extract.fast.engine import Measured, features, measure
from pipeline.extract.fast.kernels.columns import (
    FACT,
    FACTS_AT,
    FEATURES,
    FLAGS,
    FLAGS_AT,
    GROUP,
    LEVEL,
    LEVELS_AT,
    MAIN,
    N_LEVELS,
    NEIGHBOUR,
    NEIGHBOURS,
    NEIGHBOURS_AT,
    OWN,
    PAGE,
    PLACE,
)
from pipeline.extract.fast.kernels.elements import MARK, B, E, M
from pipeline.extract.fast.kernels.statistics import S
from pipeline.extract.fast.kernels.surroundings import GROUP_SUM, SUM, WINDOW
from pipeline.extract.fast.kernels.text import N_DRAFT_COLUMNS, D
from pipeline.extract.fast.model import BUNDLED, load_cached

PAGE_OF_THREE = b"""<body><nav class="menu"><a href="/">Home page</a></nav><main id="story"><h1>The Bridge, 1923</h1>
<p>It was built by the monks of the valley. It stands!</p></main></body>"""


def page() -> Measured:
    measured = measure(PAGE_OF_THREE, "http://a.test/blog/the-old-bridge")
    assert not isinstance(measured, str)
    return measured


@pytest.mark.parametrize("columns", [E, B, M, MARK, S, SUM, GROUP_SUM, WINDOW, NEIGHBOUR, LEVEL, FACT, OWN])
def test_columns_of_a_table_are_numbered_from_zero(columns: tuple[int, ...]) -> None:
    assert columns == tuple(range(len(columns)))


def test_a_draft_is_a_block_with_more_columns() -> None:
    assert (*B, *D) == tuple(range(N_DRAFT_COLUMNS))


def test_groups_of_features_follow_one_another() -> None:
    repeated = [
        *range(NEIGHBOURS_AT, NEIGHBOURS_AT + len(NEIGHBOURS) * len(NEIGHBOUR)),
        *range(LEVELS_AT, LEVELS_AT + N_LEVELS * len(LEVEL)),
    ]
    flags = range(FLAGS_AT, FLAGS_AT + len(FLAGS))
    facts = range(FACTS_AT, FACTS_AT + len(FACT))
    assert [*OWN, *flags, *PLACE, *repeated, *GROUP, *MAIN, *PAGE, *facts] == list(range(len(FEATURES)))


def test_names_of_features_are_those_of_the_model() -> None:
    with zipfile.ZipFile(BUNDLED) as z:
        assert json.loads(z.read("model.json"))["features"] == FEATURES
    assert len(set(FEATURES)) == len(FEATURES)


def test_statistics_count_what_their_names_say() -> None:
    measured = page()
    assert measured.block_texts() == [
        "Home page",
        "The Bridge, 1923",
        "It was built by the monks of the valley. It stands!",
    ]
    stats = measured.stats
    assert stats[:, S.words].tolist() == stats[:, S.units].tolist() == [2, 3, 11]
    assert stats[:, S.chars].tolist() == [9, 16, 51]
    assert stats[:, S.upper].tolist() == [1, 2, 2]
    assert stats[:, S.digits].tolist() == [0, 4, 0]
    assert stats[:, S.comma].tolist() == [0, 1, 0]
    assert stats[:, S.terminal].tolist() == [0, 0, 2]
    assert stats[:, S.ends].tolist() == [0, 0, 1]
    assert stats[:, S.link].tolist() == [1, 0, 0]
    assert stats[:, S.longest].tolist() == [4, 6, 6]


def test_a_word_of_any_length_is_cut_into_parts() -> None:
    measured = measure(b"<p>" + b"x" * 450)
    assert not isinstance(measured, str)
    assert measured.stats[0, [S.words, S.chars, S.longest]].tolist() == [3, 450, 200]


def test_features_say_what_their_names_say() -> None:
    measured = page()
    x = features(measured, load_cached(str(BUNDLED)).scores)
    by_name = {name: x[:, i] for i, name in enumerate(FEATURES)}
    assert x.shape == (3, len(FEATURES))
    assert by_name["units"].tolist() == [2, 3, 11]
    assert by_name["index"].tolist() == [0, 1, 2]
    assert by_name["link"].tolist() == [1, 0, 0]
    assert by_name["link_m1"].tolist() == [-1, 1, 0]
    assert by_name["path_p1"].tolist() == [*by_name["path"].tolist()[1:], -9]
    assert by_name["level_of_heading"].tolist() == [0, 1, 1]
    assert by_name["has_h1_before"].tolist() == [0, 1, 1]
    assert by_name["copies"].tolist() == [1, 1, 1]
    assert np.allclose(by_name["page_units"], np.log1p(16))
    assert by_name["page_h1"].tolist() == [1, 1, 1]
    assert by_name["fact_url_article"].tolist() == [1, 1, 1]
    assert by_name["fact_last_hyphens"].tolist() == [2, 2, 2]
