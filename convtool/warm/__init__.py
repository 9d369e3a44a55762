"""A process that keeps torch loaded between calls of the command, and the launcher that hands calls to it."""
