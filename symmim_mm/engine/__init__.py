"""Training and testing: what a run is made of, and how it is launched."""
