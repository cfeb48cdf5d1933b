"""Commands that check results and change nothing."""
