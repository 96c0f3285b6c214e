"""Faiss's names over Steep: change one import and be faster.

>>> import steep.faiss as faiss
"""
