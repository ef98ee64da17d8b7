"""What `prior.py` compares with: the reference recipe and a plain GPT, both over the flattened tokens [B, T = S * Q]."""

import math
import time
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

EPOCHS, BATCH, LEARNING_RATE, WEIGHT_DECAY, DROPOUT = 25, 32, 1e-3, 0.01, 0.2
HIDDEN, LAYERS, HEADS = 256, 4, 4


class ReferencePrior(nn.Module):
    """`nn.TransformerEncoder` with an explicit causal mask; embeddings of code, position and level added."""

    def __init__(self, codebook_size: int, positions: int, levels: int) -> None:
        super().__init__()
        self.levels = levels
        self.code = nn.Embedding(codebook_size, HIDDEN)
        self.position = nn.Embedding(positions, HIDDEN)
        self.level = nn.Embedding(levels, HIDDEN)
        for table in (self.code, self.position, self.level):
            nn.init.normal_(table.weight, std=0.02)
        self.dropout = nn.Dropout(DROPOUT)
        layer = nn.TransformerEncoderLayer(HIDDEN, HEADS, 4 * HIDDEN, DROPOUT, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, LAYERS)
        self.head = nn.Linear(HIDDEN, codebook_size)

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens [B, T] -> logits [B, T, K] of the token after each."""
        place = torch.arange(tokens.shape[1])
        x = self.code(tokens) + self.position(place // self.levels) + self.level(place % self.levels)
        mask = nn.Transformer.generate_square_subsequent_mask(tokens.shape[1])
        logits: Tensor = self.head(self.encoder(self.dropout(x), mask=mask))
        return logits


class GptBlock(nn.Module):
    """Pre-norm block without biases, attention by SDPA."""

    def __init__(self) -> None:
        super().__init__()
        self.norm_1, self.norm_2 = nn.LayerNorm(HIDDEN, bias=False), nn.LayerNorm(HIDDEN, bias=False)
        self.qkv = nn.Linear(HIDDEN, 3 * HIDDEN, bias=False)
        self.out = nn.Linear(HIDDEN, HIDDEN, bias=False)
        self.wide, self.narrow = nn.Linear(HIDDEN, 4 * HIDDEN, bias=False), nn.Linear(4 * HIDDEN, HIDDEN, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        batch, length, width = x.shape
        q, k, v = (
            part.view(batch, length, HEADS, width // HEADS).transpose(1, 2)
            for part in self.qkv(self.norm_1(x)).split(width, dim=2)
        )
        dropout = DROPOUT if self.training else 0.0
        y = F.scaled_dot_product_attention(q, k, v, dropout_p=dropout, is_causal=True)
        x = x + F.dropout(self.out(y.transpose(1, 2).reshape(batch, length, width)), dropout)
        return x + F.dropout(self.narrow(F.gelu(self.wide(self.norm_2(x)))), dropout)


class GptPrior(nn.Module):
    """The plain GPT of nanoGPT: code and position tables, pre-norm blocks, head tied to the code table."""

    def __init__(self, codebook_size: int, tokens: int) -> None:
        super().__init__()
        self.code, self.position = nn.Embedding(codebook_size, HIDDEN), nn.Embedding(tokens, HIDDEN)
        self.blocks = nn.ModuleList(GptBlock() for _ in range(LAYERS))
        self.norm = nn.LayerNorm(HIDDEN, bias=False)
        self.head = nn.Linear(HIDDEN, codebook_size, bias=False)
        self.head.weight = self.code.weight
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=0.02)

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens [B, T] -> logits [B, T, K] of the token after each."""
        x = self.code(tokens) + self.position(torch.arange(tokens.shape[1]))
        x = F.dropout(x, DROPOUT, self.training)
        for block in self.blocks:
            x = block(x)
        logits: Tensor = self.head(self.norm(x))
        return logits


@dataclass(frozen=True)
class ReferenceResult:
    """The reference recipe after its training."""

    bits: float  # per code, tokens 1 .. T - 1, of its best epoch
    best_epoch: int
    epochs: int
    last_bits: float
    seconds: float


def next_token_loss(logits: Tensor, tokens: Tensor) -> Tensor:
    """Mean nats over tokens 1 .. T - 1."""
    return F.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())


def train_step(model: nn.Module, optimizer: torch.optim.Optimizer, tokens: Tensor, precision: torch.dtype) -> float:
    """One step of a plain loop, the gradient clipped to norm 1."""
    with torch.autocast("cpu", torch.bfloat16, enabled=precision is torch.bfloat16):
        loss = next_token_loss(model(tokens[:, :-1]), tokens)
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    return float(loss.detach())


def reference_optimizer(model: nn.Module) -> torch.optim.Optimizer:
    """AdamW as in the recipe."""
    return torch.optim.AdamW(model.parameters(), LEARNING_RATE, weight_decay=WEIGHT_DECAY)


def train_reference(train: Tensor, val: Tensor, codebook_size: int, seed: int, epochs: int = EPOCHS) -> ReferenceResult:
    """The reference recipe in float32 on codes [N, S, Q], judged after every epoch on `val`."""
    torch.manual_seed(seed)
    model = ReferencePrior(codebook_size, train.shape[1], train.shape[2])
    optimizer = reference_optimizer(model)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    tokens, held_out = train.flatten(1), val.flatten(1)
    bits: list[float] = []
    begun = time.monotonic()
    for _ in range(epochs):
        model.train()
        for index in torch.randperm(len(tokens)).split(BATCH):
            train_step(model, optimizer, tokens[index], torch.float32)
        schedule.step()
        model.eval()
        with torch.no_grad():
            nats = sum(float(next_token_loss(model(part[:, :-1]), part)) * len(part) for part in held_out.split(BATCH))
        bits.append(nats / len(held_out) / math.log(2.0))
    best = min(bits)
    return ReferenceResult(best, bits.index(best) + 1, epochs, bits[-1], time.monotonic() - begun)
