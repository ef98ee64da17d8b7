"""Is what a model makes new, or the recordings played back? Pure functions on codes and mels (docs/novelty.md).

`sounds` (what is compared) ─▶ `windows`, `nearest` (how near by ear) and `runs` (how much to the letter) ─▶ `measuring`
(figures for each sound, judged by what the user's own unseen material gives) ─▶ `verdict`. `where` says what each second is
nearest to, `limit` is the guarantee against verbatim runs.
"""
