"""What a block of the input means to a network, and how well a map ranks the blocks."""
