"""Small things that know nothing of the rest: files, logs, texts, limits, the console, signs of life."""
