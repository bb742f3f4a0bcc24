"""Text out of a model: temperature, top-k and top-p (nucleus) sampling with a key/value cache."""

from __future__ import annotations

import torch
from tokenizers import Tokenizer
from torch import Tensor

from pipeline.core.errors import UsageError
from tokenize_stage.vocabulary import end_of_text
from train.model import Decoder


@torch.no_grad()
def generate(
    model: Decoder,
    tokenizer: Tokenizer,
    prompt: str,
    *,
    max_tokens: int = 100,
    temperature: float = 0.8,
    top_k: int = 0,
    top_p: float = 1.0,
    seed: int = 0,
) -> str:
    """Continue a prompt; returns the continuation alone.

    Args:
        prompt: may be empty: the model then starts a document.
        temperature: 0 takes the most probable token each time.
        top_k: only the k most probable tokens; 0 for all.
        top_p: only the most probable tokens that together reach this probability (Holtzman et al. 2020).
        seed: equal seeds give equal texts.

    Raises: UsageError for values out of range.
    """
    if temperature < 0 or top_k < 0 or not 0 < top_p <= 1 or max_tokens < 1:
        raise UsageError("generate: temperature and top_k are at least 0, top_p is in (0, 1], max_tokens at least 1.")
    eos = end_of_text(tokenizer)
    context = model.config.context
    device = next(model.parameters()).device
    rng = torch.Generator().manual_seed(seed)
    ids: list[int] = [eos, *tokenizer.encode(prompt, add_special_tokens=False).ids][-context:]
    made: list[int] = []
    caches: list[list[Tensor]] = [[] for _ in model.layers]
    at, feed = 0, ids
    while len(made) < max_tokens:
        if at + len(feed) > context:  # the cache is full: go on with the second half of what was read
            caches, at, feed = [[] for _ in model.layers], 0, (ids + made)[-(context // 2 or 1) :]
        logits = model(torch.tensor([feed], device=device), at=at, caches=caches)[0, -1].float().cpu()
        at += len(feed)
        token = pick(logits, temperature, top_k, top_p, rng)
        if token == eos:
            break
        made.append(token)
        feed = [token]
    text: str = tokenizer.decode(made, skip_special_tokens=False)
    return text


def pick(logits: Tensor, temperature: float, top_k: int, top_p: float, rng: torch.Generator) -> int:
    """One token id from logits of shape (vocab_size,)."""
    if temperature == 0:
        return int(logits.argmax())
    logits = logits / temperature
    if top_k:
        bound = logits.topk(min(top_k, logits.numel())).values[-1]
        logits = logits.masked_fill(logits < bound, -torch.inf)
    probabilities = logits.softmax(0)
    if top_p < 1:
        ranked, order = probabilities.sort(descending=True, stable=True)
        outside = ranked.cumsum(0) - ranked >= top_p  # the token that crosses the bound stays
        probabilities = probabilities.clone()
        probabilities[order[outside]] = 0
    return int(torch.multinomial(probabilities, 1, generator=rng))
