"""Comparison of two published annotations datasets: what appeared, vanished and moved. Neither is ever changed."""
