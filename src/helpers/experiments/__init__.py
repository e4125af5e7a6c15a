"""What is computed of a run: scores, controls, checks, other metrics, specifications."""
