"""What stands beside a result: a JSON and a picture."""
