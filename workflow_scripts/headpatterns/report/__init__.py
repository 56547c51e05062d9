"""The report of one experiment: one HTML page with all of its contents."""
