"""Training on Lightning Fabric: loop, validation, checkpoints, release."""
