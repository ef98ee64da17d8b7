"""The exceptions that a user is meant to see."""


class DistillError(Exception):
    """A mistake in what the user gave: one sentence that names the thing and says what to do.

    The faces print the message and exit with 1. Everything else that is raised is a bug and keeps its traceback.
    """


class Stopped(DistillError):
    """The user stopped the work before there was anything to keep; the sentence says so."""
