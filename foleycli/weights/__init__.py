"""Folders and files of weights, read and written strictly."""
