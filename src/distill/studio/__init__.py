"""Everything the program can do, without a face: each action is a generator of events, one file a verb."""

from distill.studio.attributing import attribute
from distill.studio.checkpoint import checkpoint
from distill.studio.codec_training import train
from distill.studio.consenting import consent
from distill.studio.describing import draw_usage, info
from distill.studio.evaluating import evaluate
from distill.studio.exporting import export_onnx
from distill.studio.forgetting import forget
from distill.studio.generating import generate
from distill.studio.judging import novelty
from distill.studio.locating import where
from distill.studio.looking import look, said_of_pieces
from distill.studio.making import make
from distill.studio.mapping import map_sounds
from distill.studio.opening import can_resume
from distill.studio.packing import PackRequest, generate_pack
from distill.studio.prior_training import resolve_prior, train_prior_for
from distill.studio.reconstructing import reconstruct
from distill.studio.repeating import again, what
from distill.studio.retraining import train_again
from distill.studio.streaming import stream
from distill.studio.synthesiser_training import train_synth_for
from distill.studio.verifying import verify

__all__ = [
    "PackRequest",
    "again",
    "attribute",
    "can_resume",
    "checkpoint",
    "consent",
    "draw_usage",
    "evaluate",
    "export_onnx",
    "forget",
    "generate",
    "generate_pack",
    "info",
    "look",
    "make",
    "map_sounds",
    "novelty",
    "reconstruct",
    "resolve_prior",
    "said_of_pieces",
    "stream",
    "train",
    "train_again",
    "train_prior_for",
    "train_synth_for",
    "verify",
    "what",
    "where",
]
