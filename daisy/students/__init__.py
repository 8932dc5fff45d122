"""A student: a small model that learns to predict what layers of the frozen one say."""
