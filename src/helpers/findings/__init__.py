"""What the results say: statistics, planned tests, the curve, the ledger, the answer.

Tables in, tables or sentences out: no function here reads a result. Tables of several runs are those of
`artifacts.across`, with the columns run, architecture, seed, setting, hop_length, padding and scaling.
"""
