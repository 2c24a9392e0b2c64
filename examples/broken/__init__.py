"""Servers that are broken in one way each, for the probe to find out; and three that are sound."""
