"""Two published annotations datasets side by side: what appeared, vanished and moved; nothing is ever changed."""
