"""What verl's synchronous trainer lacks: the curriculum, dropping unscored rollouts, ending on failure."""
