"""Sounds from an opened model: each way of asking the prior for codes is a file here (`sampling`: new sounds), and
`rendering` makes samples of codes. What may be asked is `distill.settings.generation`; what is written, `studio`."""
