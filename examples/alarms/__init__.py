"""Alarms: each user's own, protected by a token, and raised over HTTP or by another process."""
