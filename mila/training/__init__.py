"""Training: state, optimiser, one update, the loop, and what a worker needs of its runner."""
