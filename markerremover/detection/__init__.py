"""Pass 1: the localizer proposes boxes around burned-in annotations, the rescorer scores each, and the operating point decides which count."""
