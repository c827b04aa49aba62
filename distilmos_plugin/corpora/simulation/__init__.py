"""Speech and degradations made on the spot: the parts that a simulated listening test is built from."""
