"""Stage 3, `distill train-synth`."""
