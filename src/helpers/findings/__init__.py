"""What the results say: statistics, planned tests, the curve, the ledger, the answer."""
