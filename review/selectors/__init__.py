"""Page-shaped reads of the review floor."""
