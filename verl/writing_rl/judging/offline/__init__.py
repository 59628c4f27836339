"""The offline judge: a heuristic that measures texts, not an LLM."""
