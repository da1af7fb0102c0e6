"""What clients say to each other: every kind of message as a value, its bytes, how it is sent (`spec/messages`)."""
