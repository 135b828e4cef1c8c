"""docs/evidence.md: records of the study, and the tables made from them."""
