"""Label Studio: its JSON export read, its tasks written."""
