"""What takes the place of the reference's storage server: its messages, and its options."""
