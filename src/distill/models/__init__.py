"""The networks and how the prior is sampled."""
