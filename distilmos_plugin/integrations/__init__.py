"""VERSA, ESPnet, torchmetrics: thin adapters, each importable alone."""
