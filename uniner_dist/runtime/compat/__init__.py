"""Private and experimental interfaces of other projects, and patched functions, each in one place with its reason.

Ray's and pyspark's private names, vLLM below its class `LLM`, what pyiceberg and gcsfs do not export, and Python's
`signal.signal`. A release of theirs may change any of them without notice: `tests/unit/test_compat.py` and
`tests/unit/test_vllm_interfaces.py` have a test for each, which says what is gone and which version was installed.
"""
