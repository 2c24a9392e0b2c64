"""One program on three foundations, and the experiment that loads all of them with images.

The program: whatever one client sends, every client gets.
"""
