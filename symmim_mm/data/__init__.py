"""Loading, views, sample data and checks of data sets."""
