"""The exit rule: thresholds, candidate layers and methods, on plain numbers and arrays."""
