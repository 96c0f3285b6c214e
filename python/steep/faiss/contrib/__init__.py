"""Faiss's `contrib` modules over Steep: each is imported by its name."""
