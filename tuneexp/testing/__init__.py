"""What an algorithm of one's own can be tested with: small environments, each of which tests one ability."""
