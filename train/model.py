"""A compact decoder-only Transformer: RMSNorm, RoPE, SwiGLU, grouped-query attention, tied embeddings.

Names of parameters and the rotate-half layout of RoPE are those of Llama checkpoints in HF format.
Shape suffixes: B batch, T time, C width, H query heads, K key/value heads, D head width.
Sources: Touvron et al. 2023 (Llama), Su et al. 2021 (RoPE, base 10,000), Shazeer 2020 (SwiGLU, hidden 8/3 C),
Ainslie et al. 2023 (GQA), Radford et al. 2019 (residual projections scaled by 1/sqrt(2 layers)).
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from train.config import HEAD_WIDTH


@dataclass(frozen=True)
class ModelConfig:
    """Everything that fixes the shape of a model; saved beside its weights."""

    vocab_size: int
    context: int
    layers: int
    width: int
    heads: int
    kv_heads: int
    hidden: int
    rope_base: float = 10_000.0
    norm_eps: float = 1e-5

    @classmethod
    def of(cls, *, vocab_size: int, context: int, layers: int, width: int) -> ModelConfig:
        """The dial: width fixes heads (64 wide), key/value heads (a third, a divisor of heads) and hidden width."""
        heads = width // HEAD_WIDTH
        kv = next(k for k in range(max(heads // 3, 1), 0, -1) if heads % k == 0)
        hidden = 64 * round(8 * width / 3 / 64)
        return cls(vocab_size, context, layers, width, heads, kv, hidden)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


class RMSNorm(nn.Module):
    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, (x.shape[-1],), self.weight, self.eps)


class Attention(nn.Module):
    def __init__(self, c: ModelConfig) -> None:
        super().__init__()
        self.heads, self.kv_heads, d = c.heads, c.kv_heads, c.width // c.heads
        self.q_proj = nn.Linear(c.width, c.heads * d, bias=False)
        self.k_proj = nn.Linear(c.width, c.kv_heads * d, bias=False)
        self.v_proj = nn.Linear(c.width, c.kv_heads * d, bias=False)
        self.o_proj = nn.Linear(c.heads * d, c.width, bias=False)

    def forward(self, x_BTC: Tensor, cos_TD: Tensor, sin_TD: Tensor, cache: list[Tensor] | None) -> Tensor:
        b, t, _ = x_BTC.shape
        q_BHTD = self.q_proj(x_BTC).view(b, t, self.heads, -1).transpose(1, 2)
        k_BKTD = self.k_proj(x_BTC).view(b, t, self.kv_heads, -1).transpose(1, 2)
        v_BKTD = self.v_proj(x_BTC).view(b, t, self.kv_heads, -1).transpose(1, 2)
        q_BHTD, k_BKTD = rotate(q_BHTD, cos_TD, sin_TD), rotate(k_BKTD, cos_TD, sin_TD)
        causal = True
        if cache is not None:
            if cache:
                k_BKTD, v_BKTD = torch.cat([cache[0], k_BKTD], 2), torch.cat([cache[1], v_BKTD], 2)
            cache[:] = [k_BKTD, v_BKTD]
            causal = t > 1
        repeat = self.heads // self.kv_heads
        if repeat > 1:
            k_BKTD, v_BKTD = k_BKTD.repeat_interleave(repeat, 1), v_BKTD.repeat_interleave(repeat, 1)
        y_BHTD = F.scaled_dot_product_attention(q_BHTD, k_BKTD, v_BKTD, is_causal=causal)
        out: Tensor = self.o_proj(y_BHTD.transpose(1, 2).reshape(b, t, -1))
        return out


class SwiGLU(nn.Module):
    def __init__(self, c: ModelConfig) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(c.width, c.hidden, bias=False)
        self.up_proj = nn.Linear(c.width, c.hidden, bias=False)
        self.down_proj = nn.Linear(c.hidden, c.width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))
        return out


class Block(nn.Module):
    def __init__(self, c: ModelConfig) -> None:
        super().__init__()
        self.input_layernorm = RMSNorm(c.width, c.norm_eps)
        self.self_attn = Attention(c)
        self.post_attention_layernorm = RMSNorm(c.width, c.norm_eps)
        self.mlp = SwiGLU(c)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, cache: list[Tensor] | None) -> Tensor:
        x = x + self.self_attn(self.input_layernorm(x), cos, sin, cache)
        out: Tensor = x + self.mlp(self.post_attention_layernorm(x))
        return out


class Decoder(nn.Module):
    """Token ids of shape (B, T) in, logits of shape (B, T, vocab_size) out; the head shares the embedding."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.embed_tokens = nn.Embedding(config.vocab_size, config.width)
        self.layers = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = RMSNorm(config.width, config.norm_eps)
        for name, p in self.named_parameters():
            if p.dim() > 1:
                scale = 1 / math.sqrt(2 * config.layers) if name.endswith(("o_proj.weight", "down_proj.weight")) else 1
                nn.init.normal_(p, std=0.02 * scale)
        cos, sin = rope_tables(config)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)

    def forward(self, ids_BT: Tensor, *, at: int = 0, caches: list[list[Tensor]] | None = None) -> Tensor:
        """Logits. With `caches` (a list per layer, empty at first) `ids_BT` continues at position `at`."""
        t = ids_BT.shape[1]
        if at + t > self.config.context:
            raise ValueError(f"{at + t} tokens do not fit a context of {self.config.context}")
        cos, sin = self.get_buffer("cos")[at : at + t], self.get_buffer("sin")[at : at + t]
        x: Tensor = self.embed_tokens(ids_BT)
        for i, layer in enumerate(self.layers):
            x = layer(x, cos, sin, caches[i] if caches is not None else None)
        return F.linear(self.norm(x), self.embed_tokens.weight)

    def n_parameters(self) -> int:
        return sum(p.numel() for p in self.parameters())


def rope_tables(c: ModelConfig) -> tuple[Tensor, Tensor]:
    """cos and sin of shape (context, D), halves repeated (rotate-half layout)."""
    d = c.width // c.heads
    frequencies = 1.0 / c.rope_base ** (torch.arange(0, d, 2, dtype=torch.float32) / d)
    angles = torch.outer(torch.arange(c.context, dtype=torch.float32), frequencies)
    angles = torch.cat([angles, angles], dim=-1)
    return angles.cos(), angles.sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary position embedding on the last axis."""
    half = x.shape[-1] // 2
    return x * cos + torch.cat([-x[..., half:], x[..., :half]], -1) * sin
