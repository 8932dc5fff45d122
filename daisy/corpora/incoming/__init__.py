"""`daisy data import`: a corpus from recordings as people have them."""
