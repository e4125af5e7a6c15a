"""Recordings, the stand-in, and what a network is given of them."""
