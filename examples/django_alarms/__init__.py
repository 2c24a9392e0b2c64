"""Alarms: a Django project whose pages show at once what is saved in the admin."""
