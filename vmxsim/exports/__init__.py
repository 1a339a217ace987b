"""A trace for somebody else: as a page, as text for a mail or a review, as pictures, for paper."""
