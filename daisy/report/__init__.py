"""The report: evaluations become tables, tables become figures, and all of it one page."""
