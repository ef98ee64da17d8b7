"""Sound in and out: reading, writing, the corpus, log-mel spectrograms and waveform synthesis."""
