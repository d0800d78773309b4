"""Recorded episodes as a data set: looked at, checked, put in order, exchanged with others."""
