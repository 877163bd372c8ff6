"""A population as one trial of Tune: its searcher, its Trainable, and its members as callbacks see them."""
