"""Where recordings come from: each module prepares one corpus as FLAC files and a table of them."""
