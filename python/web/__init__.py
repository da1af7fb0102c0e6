"""The pages, and the programs that their texts are made with."""
