"""Exports a trace as a page, as text for a mail or a review, as pictures, or for paper."""
