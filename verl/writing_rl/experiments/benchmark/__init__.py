"""Measuring the judge path, the curriculum state, the data stages and the report."""
