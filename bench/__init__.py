"""The benchmark: Roomful beside other servers and the kernel's floor, in one run on one machine.

It is no part of the package, and measures ours by no other means than the others.
"""
