"""The configuration: its schema with every default, and how files, options and the environment make one."""
