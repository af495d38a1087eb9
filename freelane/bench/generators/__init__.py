"""Load generators: one module for each program, all asked and read in the same way."""
