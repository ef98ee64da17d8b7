"""Is the prior learning, or reproducing what it was given?"""

THRESHOLDS = ((20, 2.0), (100, 3.0))
"""(up to this many files, suspicious below this validation perplexity); `ABOVE` for larger corpora."""
ABOVE = 5.0


def check_memorization(val_perplexity: float, codebook_size: int, dataset_file_count: int) -> tuple[bool, str]:
    """First line of defence: is the validation perplexity too good to be true?

    The thresholds are relaxed on purpose: this warns and never stops. A very low perplexity on held-out files means
    that those files are easy to predict, which happens with copies of training files among them and as often with
    material of low entropy (silence, drones, one repeated sound). It cannot see copying of training files.

    Returns:
        Whether to warn, and what to say.
    """
    limit = next((limit for files, limit in THRESHOLDS if dataset_file_count <= files), ABOVE)
    if val_perplexity >= limit:
        return False, f"Validation perplexity {val_perplexity:.1f} of {codebook_size}: no sign of memorization."
    return True, (
        f"Validation perplexity {val_perplexity:.2f} is very low for {dataset_file_count} files (below {limit:.1f} of "
        f"{codebook_size} codes). Either the held-out sounds are very uniform, or they are near-copies of training sounds "
        "and the model is memorizing. Listen to what it generates beside your files; fewer --epochs or a smaller "
        "--hidden-size make copying harder."
    )
