"""The `.distill` file, format version 2."""
