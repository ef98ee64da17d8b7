"""A folder of sounds as a corpus: what is in it, which files belong together, and the split."""
