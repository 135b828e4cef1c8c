"""Suites: many runs in order, from a file to the table and the page that compare them."""
