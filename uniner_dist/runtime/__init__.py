"""Process-level concerns: orderly stops, no orphaned children, private interfaces of other libraries in one place."""
