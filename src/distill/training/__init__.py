"""Training: one loop (`fit`), and what is particular to the codec and to the prior."""
