"""Models on disk and behind vLLM: fetch, look into, export, serve."""
