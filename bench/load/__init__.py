"""The load: clients that send on a schedule of their own and check every byte that they get.

It runs on a core of its own in the process of the harness, and knows nothing of the servers but their address.
"""
