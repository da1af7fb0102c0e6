"""Programs for the pages' texts; nothing of them is in a page."""
