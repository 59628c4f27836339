"""One request to a model: slots, retries and hedging, budget, prices and cache."""
