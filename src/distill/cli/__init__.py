"""The command line: flags, rendering, commands. No torch is imported before a command starts to work."""
