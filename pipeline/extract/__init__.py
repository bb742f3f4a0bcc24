"""HTML to text, and rows of other formats to documents: the step where documents are minted."""
