"""The shortest program: whatever one client sends, all get."""
