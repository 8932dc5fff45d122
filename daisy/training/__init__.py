"""What every training shares: the loop, its saved state, and processes that train together."""
