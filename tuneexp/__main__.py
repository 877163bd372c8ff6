"""`python -m tuneexp` is the same as `tuneexp`."""

from tuneexp.cli import main

if __name__ == "__main__":
    main()
