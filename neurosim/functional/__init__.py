"""Pure functions: the maths of every model; state goes in and comes out, nothing here holds anything."""
