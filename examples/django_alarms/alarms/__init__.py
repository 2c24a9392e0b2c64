"""The app: alarms of users."""
