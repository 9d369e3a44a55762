"""The work of each command on one input: where files and operations meet."""
