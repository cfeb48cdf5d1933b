"""What a run reports: manifest, summary, before/after crops and the audit page."""
