"""Sounds of the program's own making: for the demo, and to learn from before any recording."""
