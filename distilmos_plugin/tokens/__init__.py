"""Tokens: the frozen upstream's hidden states of every layer, quantised by k-means (DistilMOS, arXiv 2601.13700, Fig. 1)."""
