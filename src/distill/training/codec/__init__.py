"""Stage 1, `distill train`."""
