"""Private and experimental interfaces of Ray, Spark and vLLM, and patched functions, each in one place with its reason.

A release of theirs may change any of them without a word: `tests/unit/test_compat.py` has a test for each, which says
which interface is gone and which version was installed.
"""
