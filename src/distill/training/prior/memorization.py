"""Is the prior learning, or reproducing what it was given?

Two signs together: known sounds are much easier for it than unseen ones, whatever files are drawn (the gap's interval), and
what it would make holds longer runs of the recordings than unseen recordings do. A perplexity alone tells neither: a prior that
memorizes has a high one on unseen files.
"""

THRESHOLDS = ((20, 2.0), (100, 3.0))
"""(up to this many files, suspicious below this validation perplexity); `ABOVE` for larger corpora."""
ABOVE = 5.0
LEAST_GAP = 0.5
"""Bits per code that known sounds cost less, for sure, where a prior memorizes."""
MOST_COPIED = 0.25
"""Share of new sounds with longer runs of the recordings than unseen ones have; of 16, four or less are no sign."""


def check_memorization(val_perplexity: float, codebook_size: int, dataset_file_count: int) -> tuple[bool, str]:
    """Is the validation perplexity too good to be true?

    The thresholds are relaxed on purpose. A very low perplexity on held-out files means that those files are easy to
    predict, which happens with copies of training files among them and as often with material of low entropy (silence,
    drones, one repeated sound). It cannot see copying of training files.

    Returns:
        Whether it is, and what to say.
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


def judge_memorization(
    gap: tuple[float, float], copied: float | None, val_perplexity: float, codebook_size: int, dataset_file_count: int
) -> tuple[bool, str]:
    """Whether to warn, and what to say.

    Args:
        gap: where the overfitting gap lies, in bits per code.
        copied: share of new sounds with long runs of the recordings; None: not looked for, so that the perplexity decides.
    """
    repetitive, said = check_memorization(val_perplexity, codebook_size, dataset_file_count)
    if copied is None:
        return repetitive, said
    if gap[0] > LEAST_GAP and copied > MOST_COPIED:
        return True, (
            f"The model is memorizing: {copied:.0%} of a few new sounds hold longer stretches of your recordings than "
            f"unseen recordings do, and known sounds cost it {gap[0]:.1f} to {gap[1]:.1f} bits a code less. Fewer --epochs "
            "or a smaller --hidden-size make copying harder; `distill novelty` tells which sounds are copies."
        )
    note = " The held-out sounds are very uniform, or near-copies of others." if repetitive else ""
    return (
        False,
        f"{copied:.0%} of a few new sounds hold long stretches of the recordings: no sign of memorization.{note}",
    )
