"""PettingZoo environments, S x N of them with a leading seed axis, seen from the policies that act in them."""
