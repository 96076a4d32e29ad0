"""Do reviewers agree, and whom to believe: coefficients, gold accuracy, Dawid-Skene."""
