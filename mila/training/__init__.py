"""Training: state, optimiser, one update, the loop, and what a worker needs from whatever runs it."""
