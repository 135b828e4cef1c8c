"""The page of a run or a suite: curves, figures and tables as one HTML file."""
