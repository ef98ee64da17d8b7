"""Sounds from a model: what may be asked for, sampling and rendering."""
