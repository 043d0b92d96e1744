"""The gpt-oss architecture at demo size, with MXFP4-aware training of the experts.

All experts are computed for every token and weighted by the router (zero for those not chosen):
at this size two dense products are far cheaper on a CPU than gathering tokens per expert.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn

CONFIG = {
    "vocab_size": 448,
    "hidden_size": 96,
    "intermediate_size": 64,
    "num_hidden_layers": 4,
    "num_local_experts": 8,
    "num_experts_per_tok": 4,
    "num_attention_heads": 8,
    "num_key_value_heads": 1,
    "head_dim": 64,
    "sliding_window": 128,
    "rms_norm_eps": 1e-5,
    "swiglu_limit": 7.0,
    "rope_theta": 150000.0,
    "rope_scaling": {
        "rope_type": "yarn",
        "factor": 32.0,
        "beta_fast": 32.0,
        "beta_slow": 1.0,
        "original_max_position_embeddings": 4096,
        "truncate": False,
    },
}
FP4_BLOCK = 32


def fp4_parts(weight):
    """(signed E2M1 value, power-of-two exponent) of each block of 32 along the input dimension.

    The exponent is the smallest one that does not clip the block's largest element.
    """
    blocks = weight.unflatten(-1, (-1, FP4_BLOCK))
    largest = blocks.abs().amax(-1, keepdim=True).clamp_min(2.0**-100)
    exponent = torch.ceil(torch.log2(largest / 6.0))
    scaled = blocks / torch.exp2(exponent)
    size = scaled.abs()
    step = torch.where(size < 2, 0.5, torch.where(size < 4, 1.0, 2.0))
    value = (torch.round(size / step) * step).clamp_max(6.0) * torch.sign(scaled)
    return value, exponent


def fake_fp4(weight):
    """The weight as MXFP4 stores it; the gradient passes straight through."""
    with torch.no_grad():
        value, exponent = fp4_parts(weight)
        stored = (value * torch.exp2(exponent)).flatten(-2)
    return weight + (stored - weight).detach()


def yarn_frequencies(config):
    """Inverse frequencies and the factor that YaRN puts on cos and sin."""
    rope, half, base = config["rope_scaling"], config["head_dim"] // 2, config["rope_theta"]

    def dimension(turns):
        length = rope["original_max_position_embeddings"]
        return half * math.log(length / (turns * 2 * math.pi)) / math.log(base)

    low = max(dimension(rope["beta_fast"]), 0)
    high = min(dimension(rope["beta_slow"]), config["head_dim"] - 1)
    index = torch.arange(half, dtype=torch.float32)
    frequency = base ** (-index / half)
    interpolate = ((index - low) / (high - low)).clamp(0, 1)
    inverse = frequency / rope["factor"] * interpolate + frequency * (1 - interpolate)
    return inverse, 0.1 * math.log(rope["factor"]) + 1.0


def rotate(x, cos, sin):
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)


class RMSNorm(nn.Module):
    def __init__(self, size, eps):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, x):
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + self.eps) * self.weight


class Attention(nn.Module):
    def __init__(self, config):
        super().__init__()
        hidden, self.heads = config["hidden_size"], config["num_attention_heads"]
        self.head_dim = config["head_dim"]
        assert config["num_key_value_heads"] == 1
        self.q_proj = nn.Linear(hidden, self.heads * self.head_dim)
        self.k_proj = nn.Linear(hidden, self.head_dim)
        self.v_proj = nn.Linear(hidden, self.head_dim)
        self.o_proj = nn.Linear(self.heads * self.head_dim, hidden)
        self.sinks = nn.Parameter(torch.zeros(self.heads))

    def forward(self, x, cos, sin, mask, past):
        batch, length, _ = x.shape
        q = self.q_proj(x).view(batch, length, self.heads, self.head_dim)
        q = rotate(q, cos[:, None], sin[:, None])
        k, v = rotate(self.k_proj(x), cos, sin), self.v_proj(x)
        if past is not None:
            if past:
                k, v = torch.cat([past[0], k], 1), torch.cat([past[1], v], 1)
            past[:] = [k, v]
        # With a single key head the query heads are just more rows of one product.
        scores = q.flatten(1, 2) @ k.transpose(1, 2) * self.head_dim**-0.5
        scores = scores.view(batch, length, self.heads, -1) + mask[:, :, None]
        sinks = self.sinks.view(1, 1, -1, 1)
        largest = torch.maximum(scores.detach().amax(-1, keepdim=True), sinks.detach())
        odds = torch.exp(scores - largest)
        total = odds.sum(-1, keepdim=True) + torch.exp(sinks - largest)
        out = (odds / total).flatten(1, 2) @ v
        return self.o_proj(out.reshape(batch, length, -1))


class Experts(nn.Module):
    def __init__(self, config):
        super().__init__()
        hidden, inner = config["hidden_size"], config["intermediate_size"]
        count = config["num_local_experts"]
        self.chosen, self.limit = config["num_experts_per_tok"], config["swiglu_limit"]
        self.router = nn.Linear(hidden, count)
        self.gate_up_proj = nn.Parameter(torch.randn(count, 2 * inner, hidden) * hidden**-0.5)
        self.gate_up_proj_bias = nn.Parameter(torch.zeros(count, 2 * inner))
        self.down_proj = nn.Parameter(torch.randn(count, hidden, inner) * inner**-0.5)
        self.down_proj_bias = nn.Parameter(torch.zeros(count, hidden))
        self.quantise = fake_fp4

    def forward(self, x):
        top, index = self.router(x).topk(self.chosen, dim=-1)
        share = torch.zeros_like(x[..., :1]).expand(*x.shape[:-1], len(self.down_proj))
        share = share.scatter(-1, index, torch.softmax(top, -1))
        gate_up, down = self.quantise(self.gate_up_proj), self.quantise(self.down_proj)
        # Rows of gate_up are interleaved gate, up, gate, up.
        gate = F.linear(x, gate_up[:, ::2].flatten(0, 1), self.gate_up_proj_bias[:, ::2].flatten())
        up = F.linear(x, gate_up[:, 1::2].flatten(0, 1), self.gate_up_proj_bias[:, 1::2].flatten())
        gate, up = gate.clamp(max=self.limit), up.clamp(-self.limit, self.limit)
        inner = (gate * torch.sigmoid(1.702 * gate) * (up + 1)).unflatten(-1, (len(down), -1))
        weighted = (inner * share.unsqueeze(-1)).flatten(-2)
        return weighted @ down.transpose(1, 2).flatten(0, 1) + share @ self.down_proj_bias


class Layer(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.input_layernorm = RMSNorm(config["hidden_size"], config["rms_norm_eps"])
        self.self_attn = Attention(config)
        self.post_attention_layernorm = RMSNorm(config["hidden_size"], config["rms_norm_eps"])
        self.mlp = Experts(config)

    def forward(self, x, cos, sin, mask, past):
        x = x + self.self_attn(self.input_layernorm(x), cos, sin, mask, past)
        return x + self.mlp(self.post_attention_layernorm(x))


class GptOss(nn.Module):
    def __init__(self, config=CONFIG):
        super().__init__()
        hidden, vocab = config["hidden_size"], config["vocab_size"]
        self.window = config["sliding_window"]
        self.embed_tokens = nn.Embedding(vocab, hidden)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config["num_hidden_layers"]))
        self.norm = RMSNorm(hidden, config["rms_norm_eps"])
        self.lm_head = nn.Linear(hidden, vocab, bias=False)
        inverse, self.concentration = yarn_frequencies(config)
        self.register_buffer("inverse_frequencies", inverse, persistent=False)
        for name, parameter in self.named_parameters():
            if name.endswith(".bias"):
                nn.init.zeros_(parameter)

    def forward(self, tokens, cache=None, first=None):
        """Final hidden states of `tokens`, which continue `cache` if there is one.

        `first` is the column of each row's first real token: rows are padded on the left for
        generation, which relative positions do not notice.
        """
        past = cache[0][0].shape[1] if cache and cache[0] else 0
        position = torch.arange(past, past + tokens.shape[1], device=tokens.device)
        angle = position[:, None].float() * self.inverse_frequencies
        cos, sin = angle.cos() * self.concentration, angle.sin() * self.concentration
        key = torch.arange(past + tokens.shape[1], device=tokens.device)
        distance = position[:, None] - key
        visible = (distance >= 0)[None]
        if first is not None:
            # A padded query sees itself, so that its softmax stays finite.
            visible = visible & ((key >= first[:, None])[:, None] | (distance == 0))
        hide = torch.finfo(torch.float32).min
        full = torch.zeros(visible.shape).masked_fill(~visible, hide)
        sliding = full.masked_fill(distance >= self.window, hide)
        x = self.embed_tokens(tokens)
        for i, layer in enumerate(self.layers):
            mask = full if i % 2 else sliding
            x = layer(x, cos, sin, mask, None if cache is None else cache[i])
        return self.norm(x)


@torch.no_grad()
def generate(model, prompts, stop, limit, temperature=1.0, generator=None):
    """Answers to token prompts, up to and without the first stop token (an unfinished one is cut)."""
    width = max(map(len, prompts))
    first = torch.tensor([width - len(p) for p in prompts])
    tokens = torch.tensor([[0] * (width - len(p)) + p for p in prompts])
    cache = [[] for _ in model.layers]
    answers = [[] for _ in prompts]
    going = torch.ones(len(prompts), dtype=torch.bool)
    for _ in range(limit):
        logits = model.lm_head(model(tokens, cache, first)[:, -1])
        if temperature:
            odds = torch.softmax(logits / temperature, -1)
            tokens = torch.multinomial(odds, 1, generator=generator)
        else:
            tokens = logits.argmax(-1, keepdim=True)
        for i in going.nonzero().flatten().tolist():
            if tokens[i, 0].item() in stop:
                going[i] = False
            else:
                answers[i].append(tokens[i, 0].item())
        if not going.any():
            break
    return answers
