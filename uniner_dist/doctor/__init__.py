"""`uniner-dist doctor`: whether this machine, its engines, the storage and the model meet the requirements.

A new user runs it first, and its report belongs to every report of a problem. Starts no engine, loads no weights, and
ends after some seconds even if a check hangs.
"""
