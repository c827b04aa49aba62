"""Agreement of scores with truth: correlations, intervals, paired tests, plots and the report."""
