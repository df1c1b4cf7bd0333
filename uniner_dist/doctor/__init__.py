"""`uniner-dist doctor`: whether this machine, its engines, the storage and the model are fit for the work.

What a new user runs first and what a report of a problem should have with it. Starts no engine, loads no weights, and
ends after some seconds whatever hangs.
"""
