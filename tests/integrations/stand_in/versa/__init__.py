"""A stand-in for VERSA with the same contract (versa_contract.py), for tests where VERSA is not installed."""
