"""What several suites use: clusters, corpora, scripted answers, faults, and the invariants. No test is here."""
