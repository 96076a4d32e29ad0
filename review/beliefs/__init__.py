"""What is believed of records before they are looked at, and what verdicts add to it."""
