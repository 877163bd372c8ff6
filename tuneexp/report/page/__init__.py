"""The report of sweeps: data first, then figures, then one page of HTML."""
