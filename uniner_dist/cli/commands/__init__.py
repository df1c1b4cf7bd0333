"""The commands by group: each declares its options, imports what it calls when it is called, and holds no logic."""
