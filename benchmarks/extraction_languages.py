"""Does the fast extractor lose text in some languages? Its output beside trafilatura's, language by language.

    python benchmarks/extraction_languages.py FOLDER [--pages 60] LANGUAGE=GLOB...

For every LANGUAGE=GLOB (a pattern of files below FOLDER) it prints how many pages were read, the share of trafilatura's
words that the fast extractor has too, the share of its own words that trafilatura has, and the mean confidence. A
Chinese or Japanese character counts as a word.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

import trafilatura

from pipeline.extract.fast.engine import FastExtractor
from pipeline.extract.fast.labels import words_of
from pipeline.text.charset import decode


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("languages", nargs="+", metavar="LANGUAGE=GLOB")
    parser.add_argument("--pages", type=int, default=60)
    arguments = parser.parse_args()
    fast = FastExtractor()
    print(f"{'language':<10} {'pages':>5} {'of theirs':>10} {'of ours':>8} {'confidence':>11}")
    for item in arguments.languages:
        name, _, pattern = item.partition("=")
        files = sorted(p for p in arguments.folder.glob(pattern) if p.is_file())
        files = files[:: max(1, len(files) // arguments.pages)]
        common = theirs = ours = 0
        confidence = 0.0
        for path in files:
            page = decode(path.read_bytes())
            found = fast.extract(page.utf8)
            a = Counter(words_of(found.text))
            b = Counter(words_of(trafilatura.extract(page.text, fast=True) or ""))
            common += sum((a & b).values())
            ours, theirs = ours + sum(a.values()), theirs + sum(b.values())
            confidence += found.confidence
        n = max(len(files), 1)
        print(
            f"{name:<10} {len(files):>5} {common / max(theirs, 1):>10.3f} {common / max(ours, 1):>8.3f} {confidence / n:>11.3f}"
        )


if __name__ == "__main__":
    main()
