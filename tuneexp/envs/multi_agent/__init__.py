"""S x N PettingZoo environments with a seed axis, as arrays for the policies that act in them."""
