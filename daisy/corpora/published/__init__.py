"""The paper's corpora, read from the folders and formats in which their makers distribute them."""
