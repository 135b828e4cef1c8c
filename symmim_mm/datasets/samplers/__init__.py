"""Which sample comes next, and with which random numbers."""
