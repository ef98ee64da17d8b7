"""Files that are no sounds but lie beside them: what other programs keep there, and placeholders of files in a cloud."""

NAMED_AT_MOST = 3
_SUFFIXES = (
    ".asd", ".reapeaks", ".reapindex", ".pk", ".pkf", ".sfk", ".sfap0", ".sfl", ".ovw", ".peak", ".peaks", ".gpk", ".wfm", ".nki",
    ".nkc", ".mrk", ".cue", ".m3u", ".m3u8", ".pls", ".nfo", ".sfv", ".md5",
)  # fmt: skip
_NAMES = ("thumbs.db", "ehthumbs.db", "desktop.ini", ".ds_store", "icon\r", ".localized", ".directory")
_APPLE_DOUBLE = "._"
_PLACEHOLDERS = (".nextcloud", ".owncloud")


def is_sidecar(name: str) -> bool:
    """Whether a file that is no sound is what other programs keep beside sounds, by its name."""
    low = name.lower()
    return low in _NAMES or low.endswith(_SUFFIXES) or name.startswith(_APPLE_DOUBLE)


def placeholder_of(name: str) -> str | None:
    """The name of the file that is in a cloud and of which this is the placeholder; None: it is none."""
    if name.startswith(".") and name.lower().endswith(".icloud"):
        return name[1 : -len(".icloud")]
    suffix = next((suffix for suffix in _PLACEHOLDERS if name.lower().endswith(suffix)), None)
    return name[: -len(suffix)] or None if suffix else None


def sidecars_together(names: list[str]) -> tuple[str, str]:
    """One line for all of them: what stands for their names, and why they are skipped."""
    if len(names) == 1:
        return names[0], "not a sound: another program keeps it beside the sounds"
    first = ", ".join(names[:NAMED_AT_MOST])
    more = f" and {len(names) - NAMED_AT_MOST} more" if len(names) > NAMED_AT_MOST else ""
    return f"{len(names)} sidecar files ({first}{more})", "not sounds: other programs keep them beside the sounds"
