"""Where and how the networks run: device, threads, processes."""
