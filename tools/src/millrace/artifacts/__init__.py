"""What the controller fetches once, checks, caches and hands to the nodes as one archive each.

A recipe says what an archive is made of; `store.obtain` gives the archive, from the cache or by fetching.
Nodes need no way out for any of it: the controller uses the ecosystem's own client (mvn, pip) with the
settings that this machine has for it.

Nothing is imported here: the bootstrap needs parts of it before there is PyYAML, which others need (api.py).
"""
