"""The page: layout and short handlers over `studio` and `jobs`. It keeps nothing of its own."""
