"""What every other package of the project may use."""
