"""The training of exit branches."""
