"""One file for each contender of the published comparison: what it needs and how it is started (PEP 723), and its app."""
