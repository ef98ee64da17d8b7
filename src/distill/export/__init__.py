"""A model as files for other hosts: ONNX graphs, what they mean, and a player that needs nothing of this program."""
