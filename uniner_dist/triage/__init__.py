"""Triage: which questions need not be asked, learnt from a run's own answers, with a bound on what is missed. Pure."""
