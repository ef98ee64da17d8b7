"""Stage 2, `distill train-prior`."""
