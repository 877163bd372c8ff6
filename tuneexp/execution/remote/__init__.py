"""What runs in processes of its own: the one part of execution that knows Ray."""
