"""Data directories, training items and length-bucketed batches."""
