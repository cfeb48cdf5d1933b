"""Results measured against annotated truth: stroke-level and box-level rates, exact intervals, mAP-50 and AUPRC, comparison, report."""
