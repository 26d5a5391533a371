"""What is written beside a result: a JSON and a picture."""
