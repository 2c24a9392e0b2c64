"""The examples: programs of one idea each, run by the tests; `python -m examples` serves them all."""
