"""Looking at a run: explain, what-if, statistics, inspection, verification. Part of the top floor; reads files only."""
