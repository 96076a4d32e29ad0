"""The demo: a real small model's real inferences, and conversations named as written examples."""
