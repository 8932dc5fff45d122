"""The noise study: noisy test recordings, where they exit, and what is understood."""
