"""The system message of prompts without one of their own."""

SYSTEM = "You are an expert writer."
