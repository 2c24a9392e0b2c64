"""The servers that are measured, each a small file that is run as a process of its own."""
