"""Features: a task's recordings run through the frozen model once, and the thresholds that follow."""
