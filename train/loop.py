"""The training loop: AdamW, warm-up and cosine, clipping; log, checkpoints, exact resume.

Everything a step does is a function of the seed and the step's number: the reader's position is step x batch_rows, and
the random state is in the checkpoint. So a run that was killed and goes on from its last checkpoint ends in the same
weights, bit for bit on the same machine and number of threads.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch.nn import functional as F

from pipeline.core.bench import Bench
from pipeline.core.dataset import Dataset, Source
from pipeline.core.errors import UsageError
from pipeline.core.files import atomic, sha256_file, write_bytes, write_json
from pipeline.core.recipe import Recipe
from pipeline.core.step import ShardResult, Task
from tokenize_stage.config import SPLITS
from tokenize_stage.reader import TokenShards
from tokenize_stage.vocabulary import load_tokenizer, token_bytes, tokenizer_file
from train import checkpoint
from train.config import TrainConfig
from train.evaluate import score_model, score_unigram, validation_rows
from train.generate import generate
from train.model import Decoder, ModelConfig
from train.result import LOG, RESULT, Sample, Trained, write_result

VERSION = 1
KEEP_CHECKPOINTS = 2
CHECKPOINTS = "checkpoints"
TOLD = ("step", "loss", "tokens_per_s", "validation_bits_per_byte")  # of a log record, while training
Record = dict[str, int | float]  # of one optimiser step


@dataclass(frozen=True)
class TrainArgs:
    """`shards` is the tokenize step whose files are the task's inputs."""

    config: TrainConfig
    shards: Dataset


def stage(recipe: Recipe, bench: Bench, done: Mapping[str, Dataset]) -> dict[str, Dataset]:
    """`[train]` makes the result "train" from "tokenize" and "tokenizer"."""
    config: TrainConfig = recipe.section("train")
    return {"train": train(config, done["tokenize"], tokenizer_file(done["tokenizer"]), bench)}


def train(config: TrainConfig, shards: Dataset, tokenizer: Path, bench: Bench) -> Dataset:
    """Train a model on a tokenize step.

    Its task tells of every optimiser step: `step` of `steps`, `loss`, `tokens_per_s`, and `validation_bits_per_byte` where
    that was measured.

    Args:
        tokenizer: the tokenizer.json that made the shards.

    Returns: a step with `model.safetensors`, `config.json`, `tokenizer.json`, `log.jsonl` and `result.json` in `model/`.
    Raises: UsageError if the tokenizer is another one; StepError if CUDA is asked for and absent.
    """
    digest = sha256_file(tokenizer)
    if digest != shards.manifest["tokenizer_sha256"]:
        raise UsageError(f"{tokenizer}: not the tokenizer that made {shards.dir}.")
    params = {k: v for k, v in asdict(config).items() if k not in ("checkpoint_every",)}
    inputs = {
        "shards": tuple(source for split in SPLITS for source in shards.every(split)),
        "tokenizer": (Source(tokenizer, digest, "tokenizer.json"),),
    }
    task = Task(0, inputs, TrainArgs(config, shards))
    files = {"tokenizer": digest}
    made = bench.step("train", params, VERSION, [shards], [task], train_model, files=files, extra={"kind": "model"})
    shutil.rmtree(made.dir / CHECKPOINTS, ignore_errors=True)  # what only a resume needs
    (made.dir / LOG).unlink(missing_ok=True)
    return made


def train_model(task: Task[TrainArgs]) -> ShardResult:
    """`model/`: the whole training; `log.jsonl` and `checkpoints/` beside it until then."""
    config, shards, tokenizer_path = task.args.config, task.args.shards, task.one("tokenizer").path
    device = choose_device(config)
    if config.threads:
        torch.set_num_threads(config.threads)
    torch.manual_seed(config.seed)
    tokenizer = load_tokenizer(tokenizer_path)
    lengths = np.asarray(token_bytes(tokenizer), np.int64)
    reader = TokenShards(shards, "train", seed=config.seed)
    layers, width = config.shape
    shape = ModelConfig.of(
        vocab_size=int(shards.manifest["vocab_size"]), context=reader.row_tokens - 1, layers=layers, width=width
    )
    model = Decoder(shape).to(device)
    optimizer = make_optimizer(model, config)
    log = _Log(task.out / LOG)
    start, elapsed = _resume(task.out, model, optimizer, log)
    held = validation_rows(shards, config.eval_rows)
    began = time.monotonic() - elapsed
    model.train()
    for step in range(start, config.steps):
        ids, valid = reader.take(step * config.batch_rows, config.batch_rows)
        rate = learning_rate(step, config)
        for group in optimizer.param_groups:
            group["lr"] = rate
        loss, norm = train_step(model, optimizer, ids, valid, config.grad_clip)
        done = step + 1
        record: Record = {"step": done, "loss": loss, "grad_norm": norm, "lr": rate}
        if done % config.eval_every == 0 or done == config.steps:
            score = score_model(model, *held, lengths, batch_rows=config.batch_rows)
            record["validation_bits_per_byte"] = score.bits_per_byte
            record["validation_loss"] = score.loss
        seconds = time.monotonic() - began
        record["seconds"] = round(seconds, 3)
        record["tokens_per_s"] = round((done * config.batch_rows * shape.context) / seconds, 1)
        log.write(record)
        task.tell(steps=config.steps, **{k: v for k, v in record.items() if k in TOLD})
        if done % config.checkpoint_every == 0 and done < config.steps:
            _save(task.out, done, model, optimizer, seconds)
    return _finish(task, model, lengths, time.monotonic() - began)


def train_step(
    model: Decoder, optimizer: torch.optim.Optimizer, ids: np.ndarray, valid: np.ndarray, clip: float
) -> tuple[float, float]:
    """One optimiser step on rows of shape (B, row_tokens). Returns the loss in nats per token and the gradient norm."""
    device = next(model.parameters()).device
    x = torch.from_numpy(ids).to(device)
    targets = x[:, 1:].clone()
    outside = np.arange(1, ids.shape[1])[None, :] >= valid[:, None]
    targets[torch.from_numpy(outside).to(device)] = -100
    loss = F.cross_entropy(model(x[:, :-1]).float().flatten(0, 1), targets.flatten(), ignore_index=-100)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
    optimizer.step()
    return float(loss.detach()), float(norm)


def learning_rate(step: int, config: TrainConfig) -> float:
    """Linear warm-up, then a cosine to `final_lr_frac` of the peak at the last step (Loshchilov & Hutter 2017)."""
    if step < config.warmup_steps:
        return config.lr * (step + 1) / config.warmup_steps
    progress = (step - config.warmup_steps) / max(config.steps - 1 - config.warmup_steps, 1)
    low = config.lr * config.final_lr_frac
    return low + (config.lr - low) * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))


def make_optimizer(model: Decoder, config: TrainConfig) -> torch.optim.AdamW:
    """AdamW with betas (0.9, 0.95) as in Brown et al. 2020; weight decay on matrices only."""
    matrices = [p for p in model.parameters() if p.dim() > 1]
    vectors = [p for p in model.parameters() if p.dim() <= 1]
    groups = [{"params": matrices, "weight_decay": config.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=config.lr, betas=(0.9, 0.95), eps=1e-8)


def choose_device(config: TrainConfig) -> torch.device:
    if config.device == "cuda" and not torch.cuda.is_available():
        raise UsageError("train.device: 'cuda' is not available here; use 'auto' or 'cpu'.")
    return torch.device("cuda" if config.device != "cpu" and torch.cuda.is_available() else "cpu")


def _resume(folder: Path, model: Decoder, optimizer: torch.optim.Optimizer, log: _Log) -> tuple[int, float]:
    path = checkpoint.latest(folder / CHECKPOINTS)
    if path is None:
        log.cut(0)
        return 0, 0.0
    state = checkpoint.restore(path, model, optimizer)
    torch.set_rng_state(torch.tensor(state["rng"], dtype=torch.uint8))
    log.cut(state["step"])
    return int(state["step"]), float(state["seconds"])


def _save(folder: Path, step: int, model: Decoder, optimizer: torch.optim.Optimizer, seconds: float) -> None:
    state = {"seconds": seconds, "rng": torch.get_rng_state().tolist()}
    checkpoint.save(folder / CHECKPOINTS, step, model, optimizer, state)
    for old in sorted((folder / CHECKPOINTS).glob("step-*"))[:-KEEP_CHECKPOINTS]:
        for path in old.iterdir():
            path.unlink()
        old.rmdir()


def _finish(task: Task[TrainArgs], model: Decoder, lengths: np.ndarray, seconds: float) -> ShardResult:
    """The files a user takes away, with the score on the whole validation split beside the unigram baseline."""
    config, shards, tokenizer_path = task.args.config, task.args.shards, task.one("tokenizer").path
    folder = task.out / "model"
    held = validation_rows(shards, 0)
    score = score_model(model, *held, lengths, batch_rows=config.batch_rows)
    unigram = score_unigram(TokenShards(shards, "train"), *held, lengths)
    tokenizer = load_tokenizer(tokenizer_path)
    samples = tuple(
        Sample(p, generate(model.eval(), tokenizer, p, max_tokens=config.sample_tokens, seed=config.seed))
        for p in config.prompts
    )
    trained = config.steps * config.batch_rows * model.config.context
    result = Trained(
        parameters=model.n_parameters(),
        steps=config.steps,
        tokens_trained=trained,
        tokens_per_s=round(trained / seconds, 1),
        seconds=round(seconds, 1),
        device=str(next(model.parameters()).device),
        validation_tokens=score.tokens,
        validation_bytes=score.bytes,
        validation_loss=score.loss,
        bits_per_byte=score.bits_per_byte,
        unigram_bits_per_byte=unigram.bits_per_byte,
        samples=samples,
    )
    with atomic(folder / "model.safetensors") as tmp:
        save_file(checkpoint.weights(model), tmp)
    write_json(folder / "config.json", {"model": model.config.as_json(), "train": asdict(config)})
    write_bytes(folder / "tokenizer.json", tokenizer_path.read_bytes())
    write_bytes(folder / LOG, (task.out / LOG).read_bytes())
    write_result(folder, result)
    names = ("model.safetensors", "config.json", "tokenizer.json", LOG, RESULT)
    return ShardResult({folder / n: None for n in names}, {"tokens_trained": trained})


class _Log:
    """`log.jsonl`: one record per step, cut back to the checkpoint on resume."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def cut(self, step: int) -> None:
        """Keep the records up to `step`."""
        kept = []
        if self.path.exists():
            for line in self.path.read_text("utf-8").splitlines():
                try:
                    if json.loads(line)["step"] <= step:
                        kept.append(line)
                except (ValueError, KeyError):
                    break  # the last line of a killed run may be half written
        write_bytes(self.path, "".join(line + "\n" for line in kept).encode())

    def write(self, record: Record) -> None:
        with open(self.path, "a", encoding="utf-8") as f:
            f.write(json.dumps(record) + "\n")
            f.flush()
            os.fsync(f.fileno())
