"""What a train step leaves beside the model: its result and its log. Nothing here needs torch."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.core.answers import as_json
from pipeline.core.dataset import Dataset
from pipeline.core.files import read_json, write_json

RESULT, LOG = "result.json", "log.jsonl"


@dataclass(frozen=True)
class Sample:
    """What the model went on with."""

    prompt: str
    text: str


@dataclass(frozen=True)
class Trained:
    """How a training ended, as `result.json` has it.

    Attributes:
        parameters: of the model. steps, tokens_trained: that were done, also before it was stopped and went on.
        seconds: of all starts together. device: that it ran on.
        validation_tokens, validation_bytes: that were scored; validation_loss in nats per token.
        bits_per_byte: of the model and of a unigram model on the same rows.
    """

    bits_per_byte: float
    device: str
    parameters: int
    samples: tuple[Sample, ...]
    seconds: float
    steps: int
    tokens_per_s: float
    tokens_trained: int
    unigram_bits_per_byte: float
    validation_bytes: int
    validation_loss: float
    validation_tokens: int


@dataclass(frozen=True)
class LogLine:
    """A step of the training: loss in nats per token of its batch, and of the validation rows where they were scored."""

    step: int
    loss: float
    validation_loss: float | None


def write_result(folder: Path, result: Trained) -> None:
    write_json(folder / RESULT, as_json(result))


def read_result(step: Dataset) -> Trained:
    """The result of a train step."""
    found = read_json(step.dir / "model" / RESULT)
    return Trained(**{**found, "samples": tuple(Sample(**s) for s in found["samples"])})


def read_log(step: Dataset) -> Iterator[LogLine]:
    """The log of a train step, a record per step."""
    for line in (step.dir / "model" / LOG).read_text("utf-8").splitlines():
        record = json.loads(line)
        yield LogLine(record["step"], record["loss"], record.get("validation_loss"))
