"""The networks as they are exported: each graph a thin module around the trained ones, in operations that ONNX has.

    decoder      codes [C, 8, Q], noise [C, 8, 256]                    -> mel [M, 16 C] in dB, loudness
    ending       the mel of the last column, as decoded                -> chances of the 16 frames that a sound may end in
    prior        P positions in the order of reading, and their cache  -> state [B, P, H], the cache grown by them
    level_q      state [B, H], the levels below                        -> logits [B, V] of level q
    synthesiser  mel [M, T] in dB                                      -> ln of magnitudes at three resolutions

The weights are those that `Stepper` lays out, and the operations are those of the modules themselves wherever ONNX has them.
"""

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from distill.models.codec import ConvVQVAE
from distill.models.encoding import at_level
from distill.models.endings import Endings, column_features
from distill.models.grain import DrawnGrain
from distill.models.loudness import Loudness, loudness_features
from distill.models.prior import CodePrior, Given
from distill.models.stepping import Stepper
from distill.models.synthesiser import SpectrumNetwork


class DecoderGraph(nn.Module):
    """Codes to a log-mel with grain, and how loud such a sound is."""

    def __init__(self, codec: ConvVQVAE, grain: DrawnGrain | None, loudness: Loudness | None) -> None:
        super().__init__()
        self.codec, self.grain, self.loudness = codec, grain, loudness

    def forward(
        self, codes: Tensor, level_db: Tensor, noise: Tensor | None = None, texture: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        """Decode a sound of any number of columns.

        Args:
            codes: int64 [C, 8, Q], of the middle.
            level_db: [], what 0 dB of the codec stands for.
            noise: [C, 8, 256], normal; of models that have grain.
            texture: [], how much of it; 0: none.

        Returns:
            [M, 16 C] in dB; the same in dB under the level, without grain; where it was learned, the expected root mean
            square and peak in dB [2].
        """
        codes = codes.flatten(0, 1)
        under = self.codec.codes_to_mel(codes[None])[0, 0]
        mel = at_level(under.clamp_max(0.0), level_db, self.codec.spectrogram.floor_db)
        if self.grain is not None and noise is not None and texture is not None:
            grained = self.grain.of_noise(mel - level_db, noise.flatten(0, 1), texture) + level_db
            mel = torch.where(texture > 0.0, grained, mel)
        if self.loudness is None:
            return mel, under
        return mel, under, self.loudness.expected(loudness_features(self.codec, codes))


class EndingGraph(nn.Module):
    """Where in its last column a sound may end."""

    def __init__(self, endings: Endings) -> None:
        super().__init__()
        self.endings = endings

    def forward(self, decoded: Tensor) -> Tensor:
        """[M, 16], the last column of what the last two columns decode to, in dB under the level -> chances [16]."""
        return cast(Tensor, self.endings(column_features(decoded[None])[0])).softmax(-1)


class PriorGraph(nn.Module):
    """The trunk of the prior: positions after those whose keys and values are in the cache."""

    def __init__(self, prior: CodePrior, stepper: Stepper) -> None:
        super().__init__()
        self.prior, self.stepper = prior, stepper

    def forward(
        self,
        sources: Tensor,
        place: Tensor,
        start: Tensor,
        keys: Tensor,
        values: Tensor,
        left_gap: Tensor | None = None,
        right_gap: Tensor | None = None,
        kind: Tensor | None = None,
        traits: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Read P more positions.

        Args:
            sources: int64 [B, P, 1 + N, Q], what each may look at (`models.reading`).
            place: int64 [P], column * bands + band within the window.
            start: int64 [B], BOS or MID.
            keys, values: [layers, B, heads, past, H / heads]; past may be 0.
            left_gap, right_gap: int64 [P], [B, P]; of priors that read both sides.
            kind: int64 [B]; of priors that know kinds.
            traits: [B, P, 4], NaN where nothing is wished; of priors that take wishes.

        Returns:
            The state [B, P, H] of each position, and keys and values with theirs.
        """
        prior, stepper = self.prior, self.stepper
        batch, count = sources.shape[:2]
        slots = (sources + prior.source_slot).flatten(2)
        x = F.embedding(slots, stepper.source).sum(2) + stepper.place[place]
        x = x + prior._added(start, Given(traits=traits, kind=kind), count - 1)  # [B, P, H]
        if left_gap is not None and right_gap is not None:
            x = x + prior.left_gap(left_gap) - prior.left_gap.weight[0]
            x = x + prior.right_gap(right_gap) - prior.right_gap.weight[0]
        step, known = torch.arange(count), torch.arange(keys.shape[3] + count)
        later = known[None] > step[:, None] + keys.shape[3]  # [P, past + P]
        grown: list[tuple[Tensor, Tensor]] = []
        for block, key, value in zip(stepper.blocks, keys.unbind(0), values.unbind(0), strict=True):
            qkv = (block.attention_norm(x) @ block.qkv).view(batch, count, 3, prior.config.num_heads, -1)
            query, new_key, new_value = qkv.permute(2, 0, 3, 1, 4).unbind(0)  # each [B, heads, P, d]
            key, value = torch.cat([key, new_key], 2), torch.cat([value, new_value], 2)
            scores = (query @ key.transpose(2, 3)).masked_fill(later, float("-inf"))
            seen = (scores.softmax(-1) @ value).transpose(1, 2).reshape(batch, count, -1)
            x = x + seen @ block.attention_out
            x = x + F.gelu(block.feed_norm(x) @ block.feed_in + block.feed_in_bias) @ block.feed_out
            x = x + block.feed_out_bias
            grown.append((key, value))
        return stepper.norm(x), torch.stack([key for key, _ in grown]), torch.stack([value for _, value in grown])


class LevelGraph(nn.Module):
    """One level of a position."""

    def __init__(self, stepper: Stepper, level: int) -> None:
        super().__init__()
        self.stepper, self.level = stepper, level

    def forward(self, state: Tensor, sources: Tensor, chosen: Tensor | None = None) -> Tensor:
        """Score the codes of the level.

        Args:
            state: [B, H], of the position.
            sources: int64 [B, 1 + N, Q], as the trunk got them.
            chosen: int64 [B, level], the codes of the levels below; the first level has none.

        Returns:
            Logits [B, K]; of the first level [B, K + 1], the last being the end of the sound.
        """
        stepper, prior = self.stepper, self.stepper.prior
        neighbours, z, agree = sources[:, 1:], state, None
        residual = F.embedding(neighbours + prior.level_offset, stepper.vectors).sum(2)  # [B, N, D]
        for below in range(self.level):
            assert chosen is not None
            residual = residual - stepper.vectors_of[below][chosen[:, below]][:, None]
            alike = (neighbours[..., below] == chosen[:, below, None]).to(z.dtype)
            agree = alike if agree is None else agree * alike
            for level, table in enumerate(stepper.heads[below].grown):
                z = z + table[chosen[:, level]]
        theirs, size = neighbours[..., self.level], prior.config.codebook_size
        known, copied = (theirs < size).to(z.dtype), theirs.clamp(max=size - 1)
        weights = stepper.heads[self.level]
        logits = stepper._logits(weights, weights.bias, z, residual, agree, known, copied)
        return logits if self.level == 0 else logits[:, :size]


class SynthesiserGraph(nn.Module):
    """A log-mel to what its spectra are like."""

    def __init__(self, network: SpectrumNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, mel: Tensor, loudest_db: Tensor) -> tuple[Tensor, ...]:
        """[M, T] in dB, and [] its loudest cell -> ln of magnitudes [window / 2 + 1, T * 2^i] for each window."""
        return tuple(log[0] for log in self.network(mel[None], loudest_db[None]))
