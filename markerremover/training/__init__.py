"""Training the localizer and the rescorer, fine-tuning for a site with cross-validation, and export with its parity check."""
