"""The only writers of the review floor."""
