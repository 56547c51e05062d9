"""The report of one experiment: one HTML page that holds everything it shows."""
