"""Stage 3 (Spark): completions become annotations, audited and published."""
