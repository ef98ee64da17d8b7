"""The library: a folder of `.distill` files, their trash, and the history of what was made with them."""
