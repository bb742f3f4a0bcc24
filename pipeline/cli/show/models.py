"""What classifiers score."""

from __future__ import annotations

from pipeline.models.classifier import Scores
from pipeline.text.visible import padded, visible


def show_scores(c: Scores, model: str) -> None:
    print(f"{visible(model)}: AUC {c.auc:.3f} on {c.texts:,} texts, {c.positive:,} of them positive")
    for source, value in c.auc_by_source.items():
        if value == value:
            print(f"  {padded(source, 24)} AUC {value:.3f}")
    print(f"  {'threshold':>9}{'precision':>11}{'recall':>9}{'F1':>9}{'called':>9}")
    for t in c.thresholds:
        print(f"  {t.threshold:>9}{t.precision:>11.3f}{t.recall:>9.3f}{t.f1:>9.3f}{t.called:>9.3f}")
