"""Tools that know nothing of writing or judging; they import nothing above them."""
