"""Explainers, maps that know nothing, and single clips to look at."""
